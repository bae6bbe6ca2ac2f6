"""What belongs together: episodes of a home from the evidence of the judged nights, and the list of doors.

Cases are a pure function of those nights and of what people have answered: `fold` goes through them in order, so judging
an earlier night again simply gives the later ones anew. Nothing is scored here.
"""

from anomaly.cases.case import CASES, CaseRules, case_code
from anomaly.cases.feedback import Answer, Told, Trusting
from anomaly.cases.fold import Fold, fold
from anomaly.cases.revisions import changes
from anomaly.cases.worklist import WORKLIST, WorklistRules

__all__ = [
    "CASES",
    "WORKLIST",
    "Answer",
    "CaseRules",
    "Fold",
    "Told",
    "Trusting",
    "WorklistRules",
    "case_code",
    "changes",
    "fold",
]
