"""Airflow's words in, one export, Airflow's words out."""
