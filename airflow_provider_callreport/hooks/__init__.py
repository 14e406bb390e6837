"""Airflow's connection in, the API's client out."""
