"""HTTP: each module reads requests, calls one feature and answers JSON. No rules live here."""
