"""A name that is not known: the question at the end of the message."""

from ddpm_micro.choices import did_you_mean


def test_the_nearest_name_is_asked_for_and_none_where_none_is_near() -> None:
    assert did_you_mean("zebrafsh", ("synapses", "zebrafish")) == "; did you mean 'zebrafish'?"
    assert did_you_mean("xyz", iter(["synapses", "zebrafish"])) == ""
