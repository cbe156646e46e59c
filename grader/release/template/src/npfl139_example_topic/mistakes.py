"""What students get wrong in `example_topic`."""

from grader.contract.spec import Mistake

MISTAKES = (
    Mistake(
        name="keeps the last reward in place of the mean",
        exercise="extended_mean",
        old="(reward - mean) / count",
        new="(reward - mean)",
        hint="A mean weighs every reward alike. How far may the hundredth reward still move it?",
    ),
)
