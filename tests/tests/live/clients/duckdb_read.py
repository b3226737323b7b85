"""duckdb_read.py URL...: reads each s3:// or http:// URL whole, and prints their lengths.

The extension that does so comes from a package of its own: DuckDB would download it.
"""

import os
import pathlib
import sys

import duckdb
import duckdb_extension_httpfs

extension = next(pathlib.Path(duckdb_extension_httpfs.__file__).parent.rglob("*.duckdb_extension"))
database = duckdb.connect()
database.execute(f"LOAD '{extension}'")
database.execute(
    f"""CREATE SECRET (TYPE s3, KEY_ID '{os.environ["AWS_ACCESS_KEY_ID"]}', SECRET '{os.environ["AWS_SECRET_ACCESS_KEY"]}',
    REGION '{os.environ["AWS_DEFAULT_REGION"]}', ENDPOINT '{os.environ["ENDPOINT"]}', URL_STYLE 'path', USE_SSL false)"""
)
query = "SELECT sum(octet_length(content)) FROM read_blob(?)"
print(*(database.execute(query, [url]).fetchone()[0] for url in sys.argv[1:]))
