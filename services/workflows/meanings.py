"""What it means that a case stands in a state, in words for people: a sentence for each state, in each language.

A workflow's own states, and those by which the casebook calls the stations between two of them (`acknowledged`: the
agency has said so, and the bus has not answered yet). Just there a case stands whose decision failed.
"""

from __future__ import annotations

from services.workflows.budget import budget
from services.workflows.permit import permit
from services.workflows.proposal import proposal
from services.workflows.repair import repair

_ENDED = {"en": "It is over. Nothing more is decided on it.", "id": "Sudah berakhir. Tidak ada lagi yang diputuskan."}

for _workflow in (repair, proposal, budget, permit):
    _workflow.means("closed", **_ENDED)

# -- repairs

repair.means(
    "submitted",
    en="The request is in the log. No agency has been asked to take it on yet.",
    id="Permohonan sudah tercatat. Belum ada instansi yang diminta menanganinya.",
)
repair.means(
    "forwarded",
    en="An agency has been asked to take the request on, and has not answered yet.",
    id="Sebuah instansi diminta menangani permohonan dan belum menjawab.",
)
repair.means(
    "acknowledged",
    en="The agency takes the request on. No work has been ordered yet.",
    id="Instansi bersedia menangani permohonan. Pekerjaan belum diperintahkan.",
)
repair.means(
    "assigned",
    en="It is settled which agency does the work. It has not been given the order yet.",
    id="Instansi pelaksana sudah ditetapkan. Perintah kerja belum diberikan.",
)
repair.means(
    "awaiting_approval",
    en="The estimate is above the limit: the approver has been asked, and work does not begin before.",
    id="Perkiraan biaya melampaui batas: persetujuan diminta, dan pekerjaan belum boleh dimulai.",
)
repair.means(
    "approved",
    en="The money is approved. No work has been ordered yet.",
    id="Biaya disetujui. Pekerjaan belum diperintahkan.",
)
repair.means(
    "approval_refused",
    en="The money was refused: the case is about to end, and the citizen to be told why.",
    id="Biaya ditolak: kasus akan ditutup, dan pemohon diberi tahu alasannya.",
)
repair.means(
    "sent_back",
    en="The approver sent the estimate back. The agency has not been asked for another one yet.",
    id="Perkiraan biaya dikembalikan. Instansi belum diminta memperbaikinya.",
)
repair.means(
    "approval_expired",
    en="The approver did not decide in time, and may still do so.",
    id="Persetujuan tidak diputuskan pada waktunya, dan masih dapat diputuskan.",
)
repair.means(
    "ordered",
    en="An agency has the work order, and has not accepted it yet.",
    id="Perintah kerja sudah diberikan kepada sebuah instansi dan belum diterima.",
)
repair.means(
    "accepted",
    en="The agency has accepted the work order. The work has not begun.",
    id="Instansi menerima perintah kerja. Pekerjaan belum dimulai.",
)
repair.means(
    "declined",
    en="The agency declined the work order. The next one has not been asked yet.",
    id="Instansi tidak menerima perintah kerja. Instansi berikutnya belum diminta.",
)
repair.means("in_progress", en="The work is under way.", id="Pekerjaan sedang berlangsung.")
repair.means(
    "suspended",
    en="The work rests, for a reason that somebody answers for.",
    id="Pekerjaan dihentikan sementara, dengan alasan dan penanggung jawab.",
)
repair.means(
    "joint_work",
    en="Several agencies work on it, each at its own part. It goes on when all parts are done.",
    id="Beberapa instansi mengerjakan bagiannya masing-masing. Kasus berlanjut bila semuanya selesai.",
)
repair.means(
    "completed",
    en="The agency says that the work is done. Nobody has looked at it yet.",
    id="Instansi menyatakan pekerjaan selesai. Belum ada yang memeriksanya.",
)
repair.means(
    "awaiting_inspection",
    en="The work is done. The inspector has been asked to look at it.",
    id="Pekerjaan selesai. Pemeriksa diminta memeriksanya.",
)
repair.means(
    "inspected",
    en="The inspector found the work good. The citizen has not been told yet.",
    id="Pemeriksa menyatakan pekerjaan baik. Pemohon belum diberi tahu.",
)
repair.means(
    "defect_found",
    en="The inspector found a defect. The work has not been ordered again yet.",
    id="Pemeriksa menemukan cacat. Pekerjaan belum diperintahkan kembali.",
)
repair.means(
    "cancelled",
    en="The work order was taken back: the agency has nothing more to do.",
    id="Perintah kerja dibatalkan: instansi tidak perlu mengerjakannya lagi.",
)
repair.means(
    "resolved",
    en="The citizen has been told that it is done, and may rate or reopen it for a time.",
    id="Pemohon diberi tahu bahwa sudah selesai, dan masih dapat menilai atau membukanya kembali.",
)
repair.means(
    "reopened",
    en="The citizen is not content. The work has not been ordered again yet.",
    id="Pemohon belum puas. Pekerjaan belum diperintahkan kembali.",
)
repair.means("rated", en="The citizen has rated the work.", id="Pemohon sudah menilai pekerjaan.")
repair.means(
    "withdrawn",
    en="The citizen took the request back.",
    id="Pemohon menarik kembali permohonannya.",
)
repair.means(
    "merged",
    en="The matter goes on in another case, and this one is to end with that one.",
    id="Perkara berlanjut dalam kasus lain, dan kasus ini berakhir bersamanya.",
)
repair.means(
    "following",
    en="The matter goes on in another case: this one hears what becomes of it, and ends with it.",
    id="Perkara berlanjut dalam kasus lain: kasus ini mengikuti perkembangannya, dan berakhir bersamanya.",
)

# -- proposals

proposal.means(
    "submitted",
    en="The meeting has proposed it. The office of its area is to endorse it.",
    id="Usulan diajukan dalam musyawarah. Kantor wilayahnya diminta mendukungnya.",
)
proposal.means(
    "endorsed",
    en="The office of its area stands behind it. It is to be ranked among the others.",
    id="Usulan didukung kantor wilayahnya, dan menunggu peringkat di antara usulan lain.",
)
proposal.means(
    "ranked",
    en="It has its place among the others. Its office is to pass it on to the next level.",
    id="Usulan sudah diberi peringkat, dan menunggu diteruskan ke tingkat berikutnya.",
)
proposal.means(
    "forwarded",
    en="The next level has it, and is to rank it.",
    id="Usulan berada di tingkat berikutnya, dan menunggu peringkat di sana.",
)
proposal.means(
    "awaiting_budget",
    en="All levels are behind it. It waits for money of a budget line.",
    id="Semua tingkat mendukungnya. Usulan menunggu dana dari mata anggaran.",
)
proposal.means(
    "merging",
    en="It is to go on in another proposal, and that one has not answered yet.",
    id="Usulan akan digabung dengan usulan lain, yang belum menjawab.",
)
proposal.means(
    "budgeted",
    en="The money is set aside. The works are to be tendered.",
    id="Dana sudah disisihkan. Pekerjaan menunggu pengadaan.",
)
proposal.means(
    "procurement",
    en="The works have been tendered. There is no contract yet.",
    id="Pekerjaan sudah dilelang. Kontrak belum ada.",
)
proposal.means(
    "contracted",
    en="There is a contract. The bus has not asked for the works yet.",
    id="Kontrak sudah ada. Pelaksanaan pekerjaan belum diminta.",
)
proposal.means("in_works", en="The contractor builds.", id="Pekerjaan sedang dilaksanakan oleh penyedia.")
proposal.means(
    "completed",
    en="All contracts are carried out. What is owed is to be paid.",
    id="Semua kontrak selesai dilaksanakan. Tagihan menunggu pembayaran.",
)
proposal.means(
    "paid",
    en="All is paid. What was built is to be registered as the city's.",
    id="Semua sudah dibayar. Hasilnya menunggu dicatat sebagai aset kota.",
)
proposal.means(
    "realised",
    en="What was proposed is there.",
    id="Yang diusulkan sudah terwujud.",
)
proposal.means(
    "rejected",
    en="It was rejected, with a reason. Those who proposed it are to be told.",
    id="Usulan ditolak dengan alasan. Pengusul akan diberi tahu.",
)
proposal.means(
    "dropped",
    en="It was given up, with a reason. What is left of its money goes back to its line.",
    id="Usulan dibatalkan, dengan alasan. Sisa dananya kembali ke mata anggaran.",
)

# -- budget lines

budget.means(
    "open",
    en="The line's year runs: money of it can be set aside, moved and paid.",
    id="Tahun anggaran berjalan: dananya dapat disisihkan, dialihkan, dan dibayarkan.",
)

# -- permits

permit.means(
    "checking",
    en="The office is to check whether the application is complete.",
    id="Kantor diminta memeriksa kelengkapan permohonan.",
)
permit.means(
    "awaiting_evidence",
    en="The applicant has been asked for evidence, and the application lapses where it does not come in time.",
    id="Pemohon diminta melengkapi bukti, dan permohonan gugur bila tidak datang pada waktunya.",
)
permit.means(
    "consulting",
    en="Other agencies have been asked for their opinion. It goes on with the last answer, or when their time is over.",
    id="Instansi lain diminta pendapatnya. Berlanjut dengan jawaban terakhir, atau bila waktunya habis.",
)
permit.means(
    "deciding",
    en="All opinions are there, or their time is over. The office is to decide.",
    id="Semua pendapat sudah ada, atau waktunya habis. Kantor diminta memutuskan.",
)
permit.means(
    "granted",
    en="The office granted it. The permit itself is to be issued.",
    id="Permohonan dikabulkan. Izinnya menunggu diterbitkan.",
)
permit.means(
    "refused",
    en="The office refused it, with a reason. The applicant is to be told.",
    id="Permohonan tidak dikabulkan, dengan alasan. Pemohon akan diberi tahu.",
)
permit.means("issued", en="The permit is valid, until its end.", id="Izin berlaku sampai masa berakhirnya.")
permit.means(
    "suspended",
    en="The permit does not count for the time being. It may be reinstated or revoked.",
    id="Izin sementara tidak berlaku. Izin dapat dipulihkan atau dicabut.",
)
permit.means(
    "revoked",
    en="The permit was taken away, with a reason.",
    id="Izin dicabut, dengan alasan.",
)
