"""What a run used, about what it cost and where its logs are: from real answers of a server, and from what AWS may leave out."""

from __future__ import annotations

import pytest

from tests.emr.emr_world import EmrWorld
from torus_assets.clients.emr import connect
from torus_assets.emr.figures import Prices, console_link, cost_usd, figures, prices_of, region_of

RUN = {"applicationId": "00app", "jobRunId": "00run", "arn": "arn:aws:emr-serverless:eu-west-1:1:/applications/00app/jobruns/00run"}
BILLED = {"vCPUHour": 10.0, "memoryGBHour": 40.0, "storageGBHour": 1.0}


def test_a_finished_run_says_its_hours_seconds_cost_and_log_folder(emr: EmrWorld):
    run = emr.add("SUCCESS", log_url="s3://analyticsjobs/logs")
    emr.bill(run, vcpu=10.0, memory=40.0, storage=1.0, seconds=360)
    found = figures(connect().get_job_run(emr.application_id, run))
    assert (found["vcpu_hours"], found["memory_gb_hours"], found["storage_gb_hours"], found["seconds"]) == (10.0, 40.0, 1.0, 360.0)
    assert found["cost_usd"] == pytest.approx(10 * 0.052624 + 40 * 0.0057785 + 0.000111)
    assert found["cost_basis"] == "estimate: list prices of us-east-1, X86_64, 2026-08"
    assert found["logs"] == f"s3://analyticsjobs/logs/applications/{emr.application_id}/jobs/{run}/"
    assert "log_stream" not in found


def test_what_aws_does_not_say_is_left_out():
    assert figures(RUN) == {}


def test_hours_of_a_run_without_a_bill_are_those_used_and_cost_nothing_yet():
    found = figures({**RUN, "totalResourceUtilization": BILLED})
    assert found["vcpu_hours"] == 10.0
    assert "cost_usd" not in found


def test_prices_depend_on_region_and_architecture_and_can_be_given():
    x86, arm = prices_of("eu-west-1"), prices_of("eu-west-1", "ARM64")
    assert x86 is not None
    assert arm is not None
    assert cost_usd(BILLED, arm) < cost_usd(BILLED, x86)
    assert arm.storage_gb == x86.storage_gb
    told = figures({**RUN, "billedResourceUtilization": BILLED}, {"architecture": "ARM64"})
    assert told["cost_usd"] == pytest.approx(cost_usd(BILLED, arm))
    assert "ARM64" in str(told["cost_basis"])
    assert figures({**RUN, "billedResourceUtilization": BILLED}, prices=Prices(1, 0, 0))["cost_usd"] == 10.0


def test_a_region_without_a_known_price_has_hours_and_no_cost():
    found = figures({**RUN, "arn": RUN["arn"].replace("eu-west-1", "mx-central-1"), "billedResourceUtilization": BILLED})
    assert found["vcpu_hours"] == 10.0
    assert "cost_usd" not in found


def test_logs_are_where_the_run_or_else_its_application_says_and_a_later_attempt_has_its_own():
    watched = {"cloudWatchLoggingConfiguration": {"enabled": True, "logStreamNamePrefix": "torus"}}
    application = {"monitoringConfiguration": {**watched, "s3MonitoringConfiguration": {"logUri": "s3://application/"}}}
    own = {"configurationOverrides": {"monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": "s3://own/"}}}}
    found = figures({**RUN, **own, "attempt": 2}, application)
    assert found["logs"] == "s3://own/applications/00app/jobs/00run/attempts/2/"
    assert found["log_group"] == "/aws/emr-serverless"
    assert found["log_stream"] == "torus/applications/00app/jobs/00run/attempts/2/SPARK_DRIVER/stdout"
    assert figures(RUN, application)["logs"] == "s3://application/applications/00app/jobs/00run/"


def test_the_console_link_names_group_and_stream_as_the_console_spells_them():
    link = console_link("us-east-1", "/aws/emr-serverless", "/applications/a/jobs/b/SPARK_DRIVER/stdout")
    assert link.startswith("https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1#")
    assert "log-group/$252Faws$252Femr-serverless/log-events/$252Fapplications$252Fa$252Fjobs$252Fb$252FSPARK_DRIVER$252Fstdout" in link


def test_a_run_without_an_arn_has_no_region():
    assert region_of({}) == ""
