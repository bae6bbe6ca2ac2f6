"""Cases, the episodes of homes made from the evidence of the judged nights, and the list of each night.

Cases are a pure function of those nights and of what people have answered: `build_case_history` goes through
them in order, so judging an earlier night again simply gives the later ones anew. Nothing is scored here.

`case.py` says what a case is and how evidence and answers change it, `feedback.py` what people answer,
`worklist.py` which cases a night lists, `history.py` goes through the nights, and `revisions.py` compares two
judgings of one.
"""

from anomaly.cases.case import CASE_SCHEMA, CaseRules, make_case_id
from anomaly.cases.feedback import Answer, Feedback
from anomaly.cases.history import CaseHistory, JudgedNight, build_case_history
from anomaly.cases.revisions import compare_cases
from anomaly.cases.worklist import WORKLIST_SCHEMA, WorklistRules

__all__ = [
    "CASE_SCHEMA",
    "WORKLIST_SCHEMA",
    "Answer",
    "CaseHistory",
    "CaseRules",
    "Feedback",
    "JudgedNight",
    "WorklistRules",
    "build_case_history",
    "compare_cases",
    "make_case_id",
]
