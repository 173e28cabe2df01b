"""The hourly look at everything that should have happened."""

import dagster as dg

JOB = "health"
EVERY_HOUR = "7 * * * *"  # UTC; not on the hour, when everything else starts

health = dg.ScheduleDefinition(
    name="health",
    job_name=JOB,
    cron_schedule=EVERY_HOUR,
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Freshness and failures: names what waits, what failed, what is held and what a killed process left. Seconds of work.",
)
