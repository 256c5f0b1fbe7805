"""metrics.prom: the numbers of the daemon in the text format of Prometheus."""

import os
import re

from daemon.contract.records import Ended
from tests.unit.job_records import ERROR, publishing
from tests.unit.service_scene import Scene

LINE = re.compile(r'multiplane_[a-z_]+(\{[a-z]+="[^"\\\n]+"(,[a-z]+="[^"\\\n]+")*\})? -?[0-9.e+]+')


def test_the_file_has_the_numbers_of_now_and_counts_the_ends(tmp_path):
    scene = Scene(tmp_path, settings={"MULTIPLANE_OUTBOX__METRICS": "true", "MULTIPLANE_HOOKS__ON_FAILED": "[tell]"})
    scene.pending("waiting")
    for job_id, state in (("a", "completed"), ("b", "completed"), ("c", "failed")):
        job = scene.processing(job_id)
        if state == "completed":
            scene.ledger.record(publishing(job_id, job.attempt.folder))
        scene.runs.end(scene.jobs.live[job_id], Ended(job=job_id, state=state, error=None if state == "completed" else ERROR))
    scene.processing("running")
    scene.parts.metrics.look(100.0)
    lines = (scene.root / "metrics.prom").read_text().splitlines()
    samples = [line for line in lines if not line.startswith("#")]
    assert all(LINE.fullmatch(line) for line in samples), samples
    assert {
        'multiplane_jobs{state="pending"} 1',
        'multiplane_jobs{state="processing"} 1',
        'multiplane_jobs_ended_total{state="completed"} 2',
        'multiplane_jobs_ended_total{state="failed"} 1',
        'multiplane_jobs_ended_total{state="cancelled"} 0',
        "multiplane_processing_seconds_total 3.0",
        'multiplane_follow_ups{what="hook"} 1',
    } <= set(samples)
    names = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert {re.split(r"[ {]", sample)[0] for sample in samples} == names
    (scene.root / "metrics.prom").unlink()
    scene.parts.metrics.look(105.0)
    assert not (scene.root / "metrics.prom").exists(), "it is written only now and then"
    scene.parts.metrics.look(110.0)
    assert (scene.root / "metrics.prom").exists()
    assert not [name for name in os.listdir(scene.root) if name.startswith(".tmp")]


def test_without_the_setting_there_is_no_file(tmp_path):
    scene = Scene(tmp_path)
    scene.parts.metrics.look(100.0)
    assert not (scene.root / "metrics.prom").exists()


def test_after_a_stop_the_file_does_not_say_that_the_daemon_runs(tmp_path):
    scene = Scene(tmp_path, settings={"MULTIPLANE_OUTBOX__METRICS": "true"})
    scene.views.say("running")
    scene.parts.metrics.look(100.0)
    assert 'state{state="running"} 1' in (scene.root / "metrics.prom").read_text()
    scene.views.say("stopped")
    scene.parts.metrics.write()
    assert 'state{state="stopped"} 1' in (scene.root / "metrics.prom").read_text()
