from tests.storage.conftest import path, storage
from tests.support.fixtures import database, empty_database

__all__ = ["database", "empty_database", "path", "storage"]
