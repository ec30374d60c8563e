-- The tables of Public Works' own system. They know nothing of the bus: no column is there for its sake but the case's id.

CREATE TABLE IF NOT EXISTS penanganan (      -- one row for each matter that the office handles
  kasus TEXT NOT NULL PRIMARY KEY,           -- the case id, as the letter brought it
  langkah INTEGER NOT NULL DEFAULT 0,        -- counts the steps of the staff; 0: nobody has looked at it
  status TEXT NOT NULL DEFAULT 'baru',       -- baru, diterima, dijadwalkan, ditolak, dikerjakan, ditunda, selesai
  layanan TEXT,
  wilayah TEXT,
  uraian TEXT,
  keterangan TEXT,
  taksiran NUMERIC(20, 2),                   -- rupiah
  biaya NUMERIC(20, 2),
  penanggung_jawab TEXT,
  diubah TIMESTAMP                           -- by the office's clock
);

CREATE TABLE IF NOT EXISTS surat_masuk (     -- the register of incoming letters
  nomor INTEGER PRIMARY KEY AUTOINCREMENT,   -- the order of arrival
  id_surat TEXT NOT NULL,
  pengirim TEXT NOT NULL,
  jenis TEXT NOT NULL,
  jenis_baku TEXT NOT NULL,                  -- the same by its name in the city's catalogue
  kasus TEXT NOT NULL,
  waktu TEXT NOT NULL,
  sebab TEXT,
  penerima TEXT,
  wilayah TEXT,
  para_pihak TEXT,
  urutan TEXT,
  dinas TEXT,
  layanan TEXT,
  uraian TEXT,
  nilai NUMERIC(20, 2),
  mata_uang TEXT,
  taksiran NUMERIC(20, 2),
  mata_uang_taksiran TEXT,
  tahap TEXT,
  judul TEXT,
  batas_waktu TEXT,
  hasil TEXT,
  id_dikembalikan TEXT,
  alasan TEXT,
  UNIQUE (id_surat, pengirim)
);
