"""The daily look at whether anybody who was forgotten is back."""

import dagster as dg

JOB = "erasure"
EVERY_MORNING = "11 5 * * *"  # UTC; reads two columns of all events once anybody was forgotten

erasure = dg.ScheduleDefinition(
    name="erasure",
    job_name=JOB,
    cron_schedule=EVERY_MORNING,
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Looks through the whole lake for learners who were forgotten. Nothing to do while nobody was.",
)
