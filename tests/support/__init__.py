"""What the tests share: servers, runs of Airflow, readers of files."""
