-- Only for `subak demo`: what a hurried clerk wrote. Each row is refused, with the reason; no other row waits for it.
INSERT INTO penanganan (kasus, langkah, status, keterangan)
VALUES ('019ab3e0-0000-7000-8000-00000000c0de', 1, 'slesai', 'Salah ketik: status ini tidak ada.')
ON CONFLICT DO NOTHING;
INSERT INTO penanganan (kasus, langkah, status, taksiran)
VALUES ('menyusul', 1, 'diterima', 1500000)
ON CONFLICT DO NOTHING;
