"""Write the JSON Schema of a record beside this file: ``python -m pathlen.records``."""

from pathlib import Path

import msgspec

from pathlen._util.files import write_text
from pathlen.records.files import SCHEMA, schema

write_text(
    Path(__file__).with_name(SCHEMA), msgspec.json.format(msgspec.json.encode(schema()), indent=1).decode() + "\n"
)
