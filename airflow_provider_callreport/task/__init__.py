"""What a task tells Airflow: argument checks, state, links, lineage, retries, stopping."""
