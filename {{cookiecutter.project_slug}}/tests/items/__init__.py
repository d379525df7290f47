import pytest

pytest.register_assert_rewrite("tests.items.contract")  # its assertions explain their failure too
