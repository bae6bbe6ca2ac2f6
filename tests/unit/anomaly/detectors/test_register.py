import pytest

from anomaly.detectors import REGISTER, DetectorRules, chosen_detectors, register


def test_every_detector_is_registered_under_its_name():
    assert len(REGISTER) == len(register.DETECTORS) > 0
    assert all(REGISTER[detector.name] is detector for detector in register.DETECTORS)


def test_detectors_are_chosen_in_the_order_of_the_register():
    assert [one.name for one in chosen_detectors()] == list(REGISTER)
    assert [one.name for one in chosen_detectors(DetectorRules(("spike", "together")))] == [
        "together",
        "spike",
    ]


def test_an_unknown_detector_is_refused_with_the_known_names():
    with pytest.raises(KeyError, match="no detector is called oracle; there are together, alone"):
        chosen_detectors(DetectorRules(("oracle",)))


def test_no_detector_at_all_is_refused():
    with pytest.raises(ValueError, match="use is empty"):
        DetectorRules(())


@pytest.mark.parametrize(
    ("use", "in_force"), [(("together", "forest"), ("forest",)), (("forest",), ())], ids=["beside", "alone"]
)
def test_a_second_opinion_that_is_asked_alone_is_the_first(use, in_force):
    assert DetectorRules(use).second_opinions == in_force
