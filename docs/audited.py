"""Audits topics and stores in docs/audit.json what a page of the site says of it: python -m docs.audited [TOPIC]..."""

import json
import sys
from datetime import date
from pathlib import Path

from grader.audit import runner
from grader.audit.equivalents import Judgement, judged, reviewed
from grader.contract.registry import available, load

SUMMARY = Path(__file__).with_name("audit.json")


def main(names: list[str]) -> None:
    """Audit the topics, by default all of them, one after the other; store each as soon as it is done."""
    for name in names or available():
        topic = load(name)
        store(judged(runner.audit(topic, topic.exercises, 1, runner.SEED, lambda done, total: None), reviewed(topic)))


def store(judgement: Judgement) -> None:
    """Put what an audit found in a topic in place of what was stored of it."""
    findings = judgement.audit.findings
    stored = json.loads(SUMMARY.read_text()) if SUMMARY.exists() else {}
    stored[judgement.audit.topic.name] = {
        "date": date.today().isoformat(),
        "mutants": len(findings),
        "noticed": sum(finding.killed for finding in findings),
        "equivalent": len(judgement.equivalents),
        "survived": len(judgement.survivors),
        "told": sum(finding.is_told for finding in findings if finding.killed),
        "false names": len(judgement.false_names),
        "elsewhere": len(judgement.elsewhere),
    }
    SUMMARY.write_text(json.dumps(stored, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
