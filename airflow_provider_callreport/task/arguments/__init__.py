"""The arguments of operators, sensor and event trigger: one table, and the checks that it drives.

`tables` has a row for each argument: type, default, rule, template or not, one line of text. Signatures, template
fields, docstrings and the tables of the docs are tested against it. `argument` says what a row is and
checks values alone, `together` checks values that must fit to one another.
"""
