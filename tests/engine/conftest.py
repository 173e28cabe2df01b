"""One Spark for all tests of a process: a JVM takes seconds to start."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from resources.java import NEEDED as JAVA_NEEDED
from resources.java import java_version
from torus_assets.engine.session import session
from torus_assets.settings import SparkSettings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A session on two threads of this machine, where a task may fail three times."""
    version = java_version()
    if version is None or version < JAVA_NEEDED:
        pytest.skip(f"Spark needs Java {JAVA_NEEDED} or newer, found {version or 'none'}")
    with session("tests", SparkSettings(master="local[2,4]", memory="1g")) as started:
        yield started


@pytest.fixture
def executors_on_s3(spark: SparkSession, s3: str) -> Iterator[str]:
    """``s3://bucket`` of this test alone, which the workers of the running session reach as well: they have the JVM's environment."""
    environment = spark.sparkContext.environment
    before = dict(environment)
    environment.update({name: value for name, value in os.environ.items() if name.startswith("AWS_")})
    yield s3
    environment.clear()
    environment.update(before)
