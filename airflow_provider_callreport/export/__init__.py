"""The one road: connection -> pages -> rows -> redaction -> file -> delivery -> summary. Begin with `road`."""
