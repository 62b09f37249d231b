"""The fault table, in groups by kind of fault."""

from __future__ import annotations

from tests.faults.row import Row
from tests.faults.rows.answers import ROWS as ANSWERS
from tests.faults.rows.bodies import ROWS as BODIES
from tests.faults.rows.connections import ROWS as CONNECTIONS
from tests.faults.rows.endless import ROWS as ENDLESS
from tests.faults.rows.large import ROWS as LARGE
from tests.faults.rows.redirects import ROWS as REDIRECTS
from tests.faults.rows.refusals import ROWS as REFUSALS
from tests.faults.rows.stalls import ROWS as STALLS
from tests.faults.rows.statuses import ROWS as STATUSES
from tests.faults.rows.writers import ROWS as WRITERS

ROWS: tuple[Row, ...] = (
    *CONNECTIONS, *BODIES, *ENDLESS, *STALLS, *STATUSES, *ANSWERS, *LARGE, *REFUSALS, *REDIRECTS, *WRITERS
)  # fmt: skip
