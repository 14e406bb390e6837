"""Delivery: one finished file goes to one place, whole or not at all.

A destination is one module: `s3` and `email`. What comes back from a delivery is in `receipts`, what can go wrong is in
`errors`. Importing any of them costs nothing in a Dag file: Airflow, boto3 and Jinja are imported when a file is
delivered.
"""
