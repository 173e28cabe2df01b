"""Every test here may take `emr`: an account with an application, whose states the test drives."""

from tests.emr.emr_world import emr

__all__ = ["emr"]
