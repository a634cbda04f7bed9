"""Saleor's published schemas, where they are at hand: reference data that is not part of this repository."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest
from graphql import GraphQLSchema, build_schema

FILES = {"3.22": "schema-3.22.67.graphql", "3.23": "schema-3.23.28.graphql"}
FOLDER = Path(os.environ.get("SALEOR_SCHEMAS") or Path(__file__).parents[3] / "shared" / "saleor")


@cache
def _schema(version: str) -> GraphQLSchema:
    return build_schema((FOLDER / FILES[version]).read_text(), assume_valid=True)


def published_schema(version: str) -> GraphQLSchema:
    """Give the published schema of a version ("3.22", "3.23"); skips the test, saying why, where the file is not at hand."""
    if not (FOLDER / FILES[version]).is_file():
        pytest.skip(f"Saleor's published schema {FILES[version]} is not beside this repository; set SALEOR_SCHEMAS to its folder")
    return _schema(version)
