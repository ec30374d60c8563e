"""What an event says, in one line, in Indonesian and English. Pure; made when it is asked for, not stored.

So a better sentence needs no rebuild. Agencies are called by their names in the city's directory, others by their
ids. No free text is in a summary, except the reason that is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bus.city import City
from schemas.money import money_text
from services.casebook import saying_proposals

LANGUAGES = ("id", "en")

TEXT_MAX = 160
"""Characters of a reason that a summary shows."""

_SAYS: Mapping[str, tuple[str, str]] = {
    "subak.request.submitted.v1": ("Permohonan diterima: {service_code}", "Request received: {service_code}"),
    "subak.request.forwarded.v1": ("Diteruskan ke {agency}{reason}", "Forwarded to {agency}{reason}"),
    "subak.request.acknowledged.v1": ("{sender} menangani permohonan{estimate}", "{sender} takes it on{estimate}"),
    "subak.request.assigned.v1": ("Ditugaskan kepada {agency}", "Assigned to {agency}"),
    "subak.request.commented.v1": ("Catatan ditambahkan", "Remark added"),
    "subak.request.merged.v1": ("Digabung dengan kasus {into}", "Merged into the case {into}"),
    "subak.request.joined.v1": ("Berlanjut dalam kasus {into}", "Goes on in the case {into}"),
    "subak.request.followed.v1": ("Juga dilaporkan dalam kasus {by_case}", "Also reported in the case {by_case}"),
    "subak.request.separated.v1": ("Dipisahkan kembali{reason}", "Parted again{reason}"),
    "subak.request.absorbed.v1": ("Diambil alih oleh kasus {from_case}", "Taken up by the case {from_case}"),
    "subak.request.progressed.v1": ("Kabar dari kasus {from_case}: {step}", "News of the case {from_case}: {step}"),
    "subak.request.mergerequested.v1": (
        "Kasus {from_case} minta dilanjutkan di sini",
        "The case {from_case} asks to go on in this one",
    ),
    "subak.request.left.v1": ("Kasus {from_case} tidak lagi di sini", "The case {from_case} goes on here no longer"),
    "subak.request.mergerefused.v1": ("Tidak dapat digabung dengan {into}", "Could not be merged into {into}"),
    "subak.request.duplicatefound.v1": (
        "Mungkin perkara yang sama dengan {from_case}, {metres} m jauhnya",
        "May be the same matter as {from_case}, {metres} m away",
    ),
    "subak.workorder.clashfound.v1": (
        "{other_agency} bekerja {metres} m dari sini, kasus {other_case}",
        "{other_agency} works {metres} m from here, case {other_case}",
    ),
    "subak.request.reopened.v1": ("Dibuka kembali{reason}", "Reopened{reason}"),
    "subak.request.resolved.v1": ("Diselesaikan oleh {agency}{cost}", "Resolved by {agency}{cost}"),
    "subak.request.rated.v1": ("Dinilai {score} dari 5", "Rated {score} of 5"),
    "subak.request.withdrawn.v1": ("Ditarik kembali oleh pemohon", "Withdrawn"),
    "subak.request.closed.v1": ("Ditutup: {outcome}{reason}", "Closed: {outcome}{reason}"),
    "subak.approval.requested.v1": (
        "Persetujuan {amount} diminta dari {recipient}",
        "Approval of {amount} asked of {recipient}",
    ),
    "subak.approval.granted.v1": ("{sender} menyetujui {amount}", "{sender} approved {amount}"),
    "subak.approval.refused.v1": ("{sender} menolak{reason}", "{sender} refused{reason}"),
    "subak.approval.sentback.v1": ("{sender} mengembalikan{reason}", "{sender} sent it back{reason}"),
    "subak.approval.expired.v1": ("Batas waktu persetujuan lewat", "Approval was not decided in time"),
    "subak.workorder.issued.v1": ("Perintah kerja ke-{attempt} untuk {agency}", "Work order {attempt} to {agency}"),
    "subak.workorder.accepted.v1": ("{sender} menerima perintah kerja", "{sender} accepted the work order"),
    "subak.workorder.declined.v1": (
        "{sender} menolak perintah kerja{reason}",
        "{sender} declined the work order{reason}",
    ),
    "subak.workorder.started.v1": ("Pekerjaan dimulai", "Work started"),
    "subak.workorder.suspended.v1": ("Pekerjaan dihentikan sementara{reason}", "Work suspended{reason}"),
    "subak.workorder.completed.v1": ("Pekerjaan selesai{cost}", "Work completed{cost}"),
    "subak.workorder.inspectionrequested.v1": ("{agency} diminta memeriksa pekerjaan", "{agency} was asked to inspect"),
    "subak.workorder.inspected.v1": ("Diperiksa dan diterima oleh {sender}", "Inspected and found good by {sender}"),
    "subak.workorder.defectfound.v1": ("{sender} menemukan cacat pekerjaan", "{sender} found a defect"),
    "subak.workorder.cancelled.v1": ("Perintah kerja dibatalkan{reason}", "Work order cancelled{reason}"),
    "subak.case.parked.v1": (
        "Ditahan: keputusan atas {event_type} gagal",
        "Parked: the decision on {event_type} failed",
    ),
    "subak.case.replayed.v1": (
        "Berjalan lagi, peristiwa yang dijalankan: {events}{reason}",
        "Runs again, events run: {events}{reason}",
    ),
    "subak.case.escalated.v1": (
        "Dinaikkan dari {from_agency} ke {to_agency}{reason}",
        "Escalated from {from_agency} to {to_agency}{reason}",
    ),
    "subak.case.warned.v1": ("{agency} diingatkan: batas waktu mendekat", "{agency} was warned: the deadline is near"),
    "subak.case.timerfired.v1": ("Batas waktu {timer} tiba", "The deadline {timer} came"),
    "subak.case.replayrequested.v1": ("Diminta dijalankan ulang{reason}", "Replay requested{reason}"),
    "subak.case.discardrequested.v1": ("Peristiwa dikeluarkan{reason}", "Event left out{reason}"),
    "subak.case.correctionrequested.v1": ("Peristiwa diperbaiki{reason}", "Event corrected{reason}"),
    "subak.event.resendrequested.v1": ("Peristiwa yang ditolak dikirim ulang{reason}", "Rejected event let in{reason}"),
    "subak.event.discarded.v1": ("Peristiwa yang ditolak disisihkan{reason}", "Rejected event set aside{reason}"),
    **saying_proposals.SAYS,
}

_AGENCIES = ("agency", "other_agency", "from_agency", "to_agency", "decided_by_agency")
_MONEY = ("amount", "value", "estimate", "cost")
_OUTCOMES = {
    "rated": "dinilai",
    "unrated": "tanpa penilaian",
    "refused": "ditolak",
    "withdrawn": "ditarik kembali",
    "merged": "digabung",
    "unserviceable": "tidak dapat dilayani",
    "lapsed": "gugur",
    "revoked": "dicabut",
    "expired": "berakhir",
    "realised": "terwujud",
    "rejected": "ditolak",
    "dropped": "dibatalkan",
}


def summary_of(
    event_type: str, content: Mapping[str, Any], *, sender: str, recipient: str | None, city: City
) -> dict[str, str]:
    """One line by language, with the city's names. A type without a sentence of its own is told by its name."""
    templates = _SAYS.get(event_type)
    if templates is None:
        return dict.fromkeys(LANGUAGES, event_type)
    return {
        language: template.format_map(_Words(content, language, sender, recipient, city))
        for language, template in zip(LANGUAGES, templates, strict=True)
    }


def name_of(city: City, agency: str, language: str) -> str:
    """The agency's name in that language, else in the city's first; its id where the directory has it no longer."""
    found = city.agencies.get(agency)
    return found.name.get(language) or city.text(found.name) if found is not None else agency


class _Words(dict[str, str]):
    """The words for a template's gaps; what is not told is a question mark, or nothing where it only adds."""

    def __init__(
        self, content: Mapping[str, Any], language: str, sender: str, recipient: str | None, city: City
    ) -> None:
        super().__init__(sender=name_of(city, sender, language))
        self._content = content
        self._language = language
        self._recipient = recipient
        self._city = city

    def __missing__(self, gap: str) -> str:
        found = self._content.get(gap)
        if gap == "recipient":
            return name_of(self._city, self._recipient, self._language) if self._recipient else "?"
        if gap in _AGENCIES:
            return name_of(self._city, found, self._language) if isinstance(found, str) else "?"
        if gap == "service_code" and (service := self._city.services.get(str(found))) is not None:
            return service.service_name.get(self._language) or self._city.text(service.service_name)
        if gap in _MONEY:
            return self._money(gap, found)
        if gap == "reason":
            return f": {_shortened(found)}" if isinstance(found, str) else ""
        if gap == "milestones":
            return _milestones(found)
        if gap == "outcome" and self._language == "id":
            return _OUTCOMES.get(str(found), str(found))
        return _shortened(str(found)) if isinstance(found, str | int | float) else "?"

    def _money(self, gap: str, found: object) -> str:
        if not isinstance(found, dict) or "amount" not in found:
            return "?" if gap in _PLAIN else ""
        text = money_text(found, self._language)
        if gap in _PLAIN:
            return text
        return f", {_IN[gap][self._language]} {text}"


_PLAIN = ("amount", "value")
"""Money that a sentence names; the other kinds only add to one."""

_IN = {"estimate": {"id": "perkiraan", "en": "estimate"}, "cost": {"id": "biaya", "en": "cost"}}


def _milestones(found: object) -> str:
    """`Separuh saluran: met, Serah terima: scheduled`."""
    each = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return _shortened(", ".join(f"{one.get('title')}: {one.get('status')}" for one in each)) or "?"


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= TEXT_MAX else line[: TEXT_MAX - 1] + "…"
