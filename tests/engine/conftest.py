from tests.support.fixtures import database

__all__ = ["database"]
