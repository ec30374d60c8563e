"""One line for each type of proposals, budgets, contracting and permits, in two languages; see `summaries.py`."""

from __future__ import annotations

from collections.abc import Mapping

SAYS: Mapping[str, tuple[str, str]] = {
    "subak.proposal.submitted.v1": ("{sender} mengusulkan: {title}", "{sender} proposes: {title}"),
    "subak.proposal.endorsed.v1": ("{sender} mendukung usulan", "{sender} stands behind the proposal"),
    "subak.proposal.ranked.v1": ("{sender} memberi urutan ke-{rank}", "{sender} ranks it {rank}"),
    "subak.proposal.forwarded.v1": ("{sender} meneruskannya ke {agency}", "{sender} hands it on to {agency}"),
    "subak.proposal.merged.v1": (
        "{sender} menggabungkannya dengan {into}{reason}",
        "{sender} merges it into {into}{reason}",
    ),
    "subak.proposal.mergerequested.v1": (
        "Usulan lain bergabung: {title}{reason}",
        "Another proposal is to go on here: {title}{reason}",
    ),
    "subak.proposal.absorbed.v1": ("Dilanjutkan dalam: {title}", "It goes on in: {title}"),
    "subak.proposal.rejected.v1": ("{sender} menolak usulan{reason}", "{sender} rejects the proposal{reason}"),
    "subak.proposal.dropped.v1": ("{sender} membatalkan usulan{reason}", "{sender} drops the proposal{reason}"),
    "subak.proposal.decisionrequested.v1": (
        "Giliran {agency}: {step}{reason}",
        "It is the turn of {agency}: {step}{reason}",
    ),
    "subak.proposal.budgeted.v1": (
        "{amount} dialokasikan, dilaksanakan oleh {agency}",
        "{amount} is set aside, for {agency} to spend",
    ),
    "subak.proposal.realised.v1": ("Terwujud: aset {asset_id}, {amount}", "Realised: the asset {asset_id}, {amount}"),
    "subak.proposal.closed.v1": (
        "Selesai: {outcome}, oleh {decided_by_agency}{reason}",
        "Ended: {outcome}, by {decided_by_agency}{reason}",
    ),
    "subak.budget.ceilingset.v1": ("Pagu {amount} untuk {name}", "Ceiling of {amount} for {name}"),
    "subak.budget.appropriated.v1": ("Anggaran {amount} ditetapkan", "{amount} is appropriated"),
    "subak.budget.allocated.v1": (
        "{amount} dialokasikan untuk usulan {proposal}",
        "{amount} is set aside for the proposal {proposal}",
    ),
    "subak.budget.revised.v1": ("Anggaran diubah{reason}", "The line is revised{reason}"),
    "subak.budget.transferred.v1": ("{amount} digeser ke {to_line}{reason}", "{amount} moves to {to_line}{reason}"),
    "subak.budget.transferreceived.v1": ("{amount} diterima dari {from_case}", "{amount} comes from {from_case}"),
    "subak.budget.transferarrived.v1": (
        "Pergeseran {transfer_id} tiba di {from_case}",
        "The transfer {transfer_id} has arrived at {from_case}",
    ),
    "subak.budget.released.v1": (
        "{amount} kembali dari usulan {from_case}{reason}",
        "{amount} comes back from the proposal {from_case}{reason}",
    ),
    "subak.budget.closed.v1": ("Mata anggaran ditutup", "The budget line is closed"),
    "subak.budget.billed.v1": (
        "Tagihan {invoice_id} sebesar {amount} atas kontrak {contract_id}",
        "Bill {invoice_id} of {amount} under the contract {contract_id}",
    ),
    "subak.budget.paid.v1": (
        "{sender} membayar {amount} atas kontrak {contract_id} ({payment_id})",
        "{sender} pays {amount} under the contract {contract_id} ({payment_id})",
    ),
    "subak.contracting.planning.v1": (
        "{sender} merencanakan pengadaan {ocid}",
        "{sender} plans the procurement {ocid}",
    ),
    "subak.contracting.tender.v1": ("{sender} membuka tender {ocid}", "{sender} opens the tender {ocid}"),
    "subak.contracting.tendercancellation.v1": (
        "{sender} membatalkan tender: {rationale}",
        "{sender} cancels the tender: {rationale}",
    ),
    "subak.contracting.award.v1": ("{supplier} terpilih, {value}", "{supplier} is chosen, for {value}"),
    "subak.contracting.contract.v1": ("Kontrak {contract_id} sebesar {value}", "Contract {contract_id} for {value}"),
    "subak.contracting.amendment.v1": (
        "Kontrak {contract_id} menjadi {value}: {rationale}",
        "Contract {contract_id} is now {value}: {rationale}",
    ),
    "subak.contracting.implementation.v1": (
        "{sender} melaporkan tonggak: {milestones}",
        "{sender} reports milestones: {milestones}",
    ),
    "subak.contracting.termination.v1": (
        "Kontrak {contract_id} diputus: {rationale}",
        "Contract {contract_id} is terminated: {rationale}",
    ),
    "subak.asset.registered.v1": (
        "{sender} mencatat aset {asset_id}: {name}",
        "{sender} registers the asset {asset_id}: {name}",
    ),
    "subak.permit.applied.v1": ("{sender} mengajukan izin: {title}", "{sender} applies for a permit: {title}"),
    "subak.permit.evidencerequested.v1": ("{sender} meminta bukti{reason}", "{sender} asks for evidence{reason}"),
    "subak.permit.evidencesupplied.v1": ("Bukti diserahkan", "The evidence is brought"),
    "subak.permit.accepted.v1": ("{sender} menyatakan berkas lengkap", "{sender} finds the application complete"),
    "subak.permit.consultationrequested.v1": (
        "Pendapat diminta dari {agency}{reason}",
        "{agency} is asked for its opinion{reason}",
    ),
    "subak.permit.opiniongiven.v1": ("{sender}: {opinion}{reason}", "{sender}: {opinion}{reason}"),
    "subak.permit.decisionrequested.v1": (
        "Giliran {agency}: {step}{reason}",
        "It is the turn of {agency}: {step}{reason}",
    ),
    "subak.permit.decided.v1": ("{sender} memutuskan: {decision}{reason}", "{sender} decides: {decision}{reason}"),
    "subak.permit.issued.v1": (
        "Izin {permit_id} terbit, berlaku sampai {valid_until}",
        "Permit {permit_id} is issued, valid until {valid_until}",
    ),
    "subak.permit.suspended.v1": ("Izin dibekukan{reason}", "The permit is suspended{reason}"),
    "subak.permit.reinstated.v1": ("Izin berlaku kembali{reason}", "The permit holds again{reason}"),
    "subak.permit.revoked.v1": ("Izin dicabut{reason}", "The permit is revoked{reason}"),
    "subak.permit.withdrawn.v1": ("Ditarik kembali oleh pemohon", "Withdrawn"),
    "subak.permit.closed.v1": (
        "Selesai: {outcome}, oleh {decided_by_agency}{reason}",
        "Ended: {outcome}, by {decided_by_agency}{reason}",
    ),
    "subak.case.messagerefused.v1": (
        "Kasus {from_case} tidak dapat menerimanya{reason}",
        "The case {from_case} could not take it{reason}",
    ),
}
