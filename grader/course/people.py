"""Which person is meant: by what a platform says, by the roster, by what an instructor types."""

import difflib
import secrets
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from grader.course.models import Alias, Assignment, Member, Person, Submission, now
from grader.course.roster import Entry
from grader.course.settings import CourseError
from grader.intake.deliveries import Claim
from grader.intake.words import cleaned

__all__ = [
    "INTAKE",
    "Match",
    "Namesake",
    "People",
    "alike",
    "by_roster",
    "decide",
    "described",
    "namesake",
    "namesakes",
    "new_person",
    "new_pseudonym",
    "person_called",
    "rematch",
    "told_apart",
]

LETTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # of pseudonyms: none is taken for another
TELLING = ("folder", "nbgrader")  # systems in which a key may be a student number or an address; elsewhere it is a number of their own
NUMBERED_ANEW = ("moodle",)  # systems that number the same person anew for each assignment
RESEMBLES = 0.85
NAMELESS, NOBODY = "the platform tells no name", "nobody in the course is called so"
NAMESAKES = "several people are called so there"
Namesake = tuple[object, str, str]  # an assignment, a platform, a name
ROSTER, INTAKE = "roster", "intake"  # who decided an alias, where no human did


@dataclass(frozen=True)
class Match:
    """Whom a platform means; None, and why it is not known, where a human must say it."""

    person: Person | None
    how: str  # "alias", "number", "e-mail", "name"; or a reason
    likely: tuple[Person, ...] = ()

    @property
    def is_new(self) -> bool:
        """Whether nothing but a name that others have speaks for somebody who is in the course."""
        return self.how in (NAMELESS, NOBODY, NAMESAKES)


class People:
    """The persons of a course, to find one among them."""

    def __init__(self, session: Session):
        query = select(Person).where(~Person.forgotten).options(selectinload(Person.aliases)).order_by(Person.id)
        self.persons: list[Person] = []
        self._numbered, self._addressed, self._called = (defaultdict[str, list[Person]](list) for _ in range(3))
        self._runtogether: defaultdict[str, list[Person]] = defaultdict(list)
        self._aliases: defaultdict[tuple[str, str], list[tuple[Alias, Person]]] = defaultdict(list)
        for person in session.scalars(query):
            self.add(person)

    def add(self, person: Person) -> None:
        """Let somebody be found, who was added to the course."""
        self.persons.append(person)
        self._numbered[_folded(person.sid)].append(person)
        self._addressed[_folded(person.email)].append(person)
        self._called[person.name].append(person)
        for name in _runtogether(person.name):
            self._runtogether[name].append(person)
        for alias in person.aliases:
            self._aliases[alias.system, _folded(alias.key)].append((alias, person))

    def match(self, claim: Claim, assignment_id: int | None, has_namesake: bool = False) -> Match:
        """Return who is meant: by alias, then student number, then e-mail address, and only then by a name that nobody else has.

        Args:
            has_namesake: whether the platform knows several people by this name, as where people may call themselves what they like.
        """
        aliased = self._aliased(claim, assignment_id)
        if aliased is not None:
            return Match(aliased, "alias")
        telling = claim.key if claim.system in TELLING else None
        numbered = _only(self._numbered, claim.sid or telling)
        addressed = _only(self._addressed, claim.email or telling)
        if numbered and addressed and numbered is not addressed:
            return Match(None, f"its number is that of {numbered.name}, its e-mail address that of {addressed.name}", (numbered, addressed))
        if numbered or addressed:
            return Match(numbered or addressed, "number" if numbered else "e-mail")
        match = self._named(claim)
        if match.person is not None and (has_namesake or _has_another_key(match.person, claim, assignment_id)):
            return Match(None, NAMESAKES, (match.person,))
        return match

    def _aliased(self, claim: Claim, assignment_id: int | None) -> Person | None:
        """Return whose key it is, where the last word counts, and a word on this assignment more than one on all."""
        found = [
            (alias.assignment_id is not None, alias.id or 0, person)
            for alias, person in self._aliases.get((claim.system, _folded(claim.key)), ())
            if alias.assignment_id in (None, assignment_id)
        ]
        return max(found, key=lambda entry: entry[:2])[2] if found else None

    def _named(self, claim: Claim) -> Match:
        if claim.name is None:
            return Match(None, NAMELESS)
        name = cleaned(claim.name)
        same = self._called.get(name, [])
        if not same and claim.system == "canvas":  # which writes anna li as lianna
            same = self._runtogether.get(name, [])
        if len(same) > 1:
            return Match(None, f"{len(same)} people are called {same[0].name}", tuple(same))
        if not same:
            return Match(None, NOBODY, self._resembling(name))
        [person] = same
        for what, told, known in (("student number", claim.sid, person.sid), ("e-mail address", claim.email, person.email)):
            if told and known and not _same(told, known):
                return Match(None, f"{person.name} is in the course, but with another {what}", (person,))
        return Match(person, "name")

    def _resembling(self, name: str) -> tuple[Person, ...]:
        """Return who is probably meant, the likeliest first."""
        ratios = [(_likeness(person.name, name), -number) for number, person in enumerate(self.persons)]
        return tuple(self.persons[-number] for ratio, number in sorted(ratios, reverse=True) if ratio > RESEMBLES)[:3]


def namesake(where: object, claim: Claim) -> Namesake:
    """Return the name of somebody who handed in, with the assignment and platform; no name where the platform tells none."""
    return where, claim.system, cleaned(claim.name or "")


def namesakes(claims: Iterable[tuple[object, Claim]]) -> set[Namesake]:
    """Return the names that several of these people have, told with the assignment that they handed in for."""
    different = {(namesake(where, claim), _folded(claim.key)) for where, claim in claims if claim.name}
    return {each for each, count in Counter(each for each, _ in different).items() if count > 1}


def _has_another_key(person: Person, claim: Claim, assignment_id: int | None) -> bool:
    """Return whether the platform knows the person by another key, for the assignment or, where keys last, for any."""
    where = {alias.assignment_id for alias in person.aliases} if claim.system not in NUMBERED_ANEW else {assignment_id} - {None}
    own = [alias for alias in person.aliases if alias.system == claim.system and alias.assignment_id in where]
    return bool(own) and not any(_same(alias.key, claim.key) for alias in own)


def _only(people: Mapping[str, list[Person]], key: str | None) -> Person | None:
    found = people.get(_folded(key), ()) if key else ()
    return found[0] if len(found) == 1 else None


def _folded(text: str | None) -> str:
    return cleaned(text or "").casefold()


def _same(one: str | None, other: str | None) -> bool:
    return bool(one and other) and _folded(one) == _folded(other)


def alike(one: str, other: str) -> bool:
    """Return whether two names have the same words, whatever their order, case and accents: reason enough to ask, not to decide.

    >>> alike("Novák, Jan", "jan novak"), alike("Jan Novák", "Jana Nováková")
    (True, False)
    """
    return _words(one) == _words(other)


def _likeness(known: str, told: str) -> float:
    """Return 1 for the same words, nearly that where only some of them are told, such as a first name, and else how many letters agree."""
    if alike(known, told):
        return 1.0
    if set(_words(told)) < set(_words(known)):
        return 0.9
    return difflib.SequenceMatcher(None, known.casefold(), told.casefold()).ratio()


def _words(name: str) -> list[str]:
    return sorted("".join(character if character.isalnum() else " " for character in _plain(name)).split())


def _plain(name: str) -> str:
    """Return a name without capitals and accents."""
    return "".join(character for character in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(character))


def _runtogether(name: str) -> set[str]:
    """Return a name as Canvas may write it: letters only, and any of its words first, since it begins with the last name.

    >>> sorted(_runtogether("Anna Li"))
    ['annali', 'lianna']
    """
    words = ["".join(letter for letter in word if letter.isalnum()) for word in name.lower().split()]
    return {"".join(words[index:] + words[:index]) for index in range(len(words))}


def new_person(session: Session, entry: Entry) -> Person:
    """Add somebody, with a pseudonym that nobody can guess."""
    person = Person(
        name=entry.name,
        pseudonym=new_pseudonym(session),
        email=entry.email,
        sid=entry.sid,
        group=entry.group,
        enrolled=True,
        forgotten=False,
    )
    session.add(person)
    _add_keys(person, entry)
    return person


def new_pseudonym(session: Session) -> str:
    """Return a pseudonym that nobody has, and nobody can guess."""
    taken = set(session.scalars(select(Person.pseudonym)))
    while True:
        letters = "".join(secrets.choice(LETTERS) for _ in range(6))
        if (drawn := f"S-{letters[:3]}-{letters[3:]}") not in taken:
            return drawn


def _add_keys(person: Person, entry: Entry) -> None:
    known = {(alias.system, alias.key) for alias in person.aliases if alias.assignment_id is None}
    for system, key in entry.keys.items():
        if (system, key) not in known:
            person.aliases.append(Alias(system=system, key=key, by=ROSTER, at=now()))


def by_roster(session: Session, entries: Sequence[Entry]) -> None:
    """Make the persons those of a roster. Who is in it no more stays, with all that was handed in, but is not expected to hand in.

    Raises:
        CourseError: it says of one person what the gradebook knows of two.
    """
    people = People(session)
    present: set[int] = set()
    for entry in entries:
        person = _of_entry(people, entry)
        if person is None:
            person = new_person(session, entry)
            people.add(person)
        elif id(person) in present:
            raise CourseError(f"the roster has {entry.name} twice: delete one of the lines")
        else:
            person.name, person.email, person.sid, person.group = entry.name, entry.email, entry.sid, entry.group
            _add_keys(person, entry)
        present.add(id(person))
    for person in people.persons:
        person.enrolled = id(person) in present


def _of_entry(people: People, entry: Entry) -> Person | None:
    claims = [Claim(system, key, None, entry.email, entry.sid) for system, key in entry.keys.items()] or [
        Claim(ROSTER, entry.sid or entry.email or entry.name, None, entry.email, entry.sid)
    ]
    found = {id(match.person): match.person for match in (people.match(claim, None) for claim in claims) if match.person}
    if len(found) > 1:
        names = " and ".join(person.name for person in found.values() if person)
        raise CourseError(f"what the roster says of {entry.name} fits {names}: correct their numbers, addresses or keys")
    if found:
        return next(iter(found.values()))
    return people.match(Claim(ROSTER, "", entry.name, entry.email, entry.sid), None).person


def rematch(session: Session) -> int:
    """Look once more for the persons of what was handed in by nobody who was known; return of how many members they were found."""
    people, found = People(session), 0
    query = select(Member, Submission.assignment_id).join(Submission).where(Member.person_id.is_(None))
    members = [
        (member, assignment_id, Claim(member.system, member.key, member.name, member.email, member.sid))
        for member, assignment_id in session.execute(query).all()
    ]
    shared = namesakes((assignment_id, claim) for _, assignment_id, claim in members)
    for member, assignment_id, claim in members:
        match = people.match(claim, assignment_id, namesake(assignment_id, claim) in shared)
        if match.person is not None:
            session.flush()
            member.person_id = match.person.id
            found += 1
    return found


def decide(session: Session, system: str, key: str, person: Person, assignment: Assignment | None, by: str) -> int:
    """Keep that a platform's key means a person, and give the person what was handed in under it; return how many submissions those are.

    A key that its platform gives anew for each assignment is kept for the one that it was seen in.

    Raises:
        CourseError: it is not clear which assignment that is.
    """
    key = cleaned(key)
    query = select(Member, Submission.assignment_id).join(Submission).where(Member.system == system)
    seen = [(member, where) for member, where in session.execute(query).all() if _same(member.key, key)]
    if assignment is not None:
        seen = [(member, where) for member, where in seen if where == assignment.id]
    elif system in NUMBERED_ANEW:
        where = {where for _, where in seen}
        if len(where) != 1:
            raise CourseError(f"{system} numbers people anew for each assignment: add --assignment to say in which {key} is {person.name}")
        assignment = session.get_one(Assignment, where.pop())
    session.add(Alias(system=system, key=key, person_id=person.id, assignment_id=assignment.id if assignment else None, by=by, at=now()))
    for member, _ in seen:
        member.person_id = person.id
    return len(seen)


def person_called(session: Session, told: str) -> Person:
    """Return whom an instructor means: by student number, e-mail address, pseudonym, a platform's key, name, or a part of the name.

    Raises:
        CourseError: nobody, or several.
    """
    people, text = People(session).persons, cleaned(told).casefold()
    ways: Iterable[Callable[[Person], bool]] = (
        lambda person: any(_same(known, text) for known in (person.sid, person.email, person.pseudonym)),
        lambda person: any(_same(alias.key, text) for alias in person.aliases if alias.assignment_id is None),
        lambda person: _same(person.name, text),
        lambda person: _plain(text) in _plain(person.name) or alike(person.name, text),
    )
    for fits in ways:
        found = [person for person in people if fits(person)]
        if len(found) == 1:
            return found[0]
        if found:
            some = "; ".join(described(person) for person in found[:6]) + (" …" if len(found) > 6 else "")
            raise CourseError(f"{told!r} may be any of {len(found)} people ({some}): name one by e-mail address, number or pseudonym")
    names = [name for person in people for name in (person.name, *person.name.split(), person.email) if name]
    near = difflib.get_close_matches(told.title() if told.islower() else told, names, n=1)
    instead = f"did you mean {near[0]!r}?" if near else "npfl139 course show --people lists them"
    raise CourseError(f"nobody in the course is called {told!r}; {instead}")


def described(person: Person) -> str:
    """Return a person as others are told apart from."""
    more = person.email or person.sid or person.pseudonym
    return f"{person.name}, {more}"


def told_apart(persons: Iterable[Person]) -> dict[int, str]:
    """Return what persons are called, by their id: their names, and where several have the same, the student number or pseudonym too."""
    known = list(persons)
    count = Counter(person.name.casefold() for person in known)
    return {each.id: each.name if count[each.name.casefold()] == 1 else f"{each.name} {each.sid or each.pseudonym}" for each in known}
