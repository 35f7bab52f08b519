from tests.support.fixtures import database, empty_database

__all__ = ["database", "empty_database"]
