"""Text from elsewhere is made safe to print."""

from daemon.contract.words.printable import replace_unprintable

HIDDEN = "\x1b[2J \u202egnp \u2066\u200e\u00ad\n\0\ud800"


def test_what_moves_hides_or_turns_text_around_becomes_a_dot() -> None:
    assert replace_unprintable(HIDDEN) == "·[2J ·gnp ······"
    assert replace_unprintable("日本 é “x” – ñ") == "日本 é “x” – ñ"


def test_what_is_to_stay_stays_and_another_sign_can_stand_for_the_rest() -> None:
    assert replace_unprintable("a\nb\tc", keep="\n") == "a\nb·c"
    assert replace_unprintable("a\nb\tc", instead=lambda sign: f"<{ord(sign)}>") == "a<10>b<9>c"


def test_spaces_of_other_scripts_and_programs_stay() -> None:
    assert replace_unprintable("山田\u3000花子 7.30\u202fPM\u00a0é") == "山田\u3000花子 7.30\u202fPM\u00a0é"
