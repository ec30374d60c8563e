-- The tables of Transport's own system.

CREATE TABLE IF NOT EXISTS jurnal (          -- what the crews did, a line for each step; never changed
  nomor INTEGER PRIMARY KEY AUTOINCREMENT,
  kasus TEXT NOT NULL,
  urut INTEGER NOT NULL,                     -- the step within the case
  keadaan TEXT NOT NULL,                     -- TERIMA, SIAP, TOLAK, JALAN, JEDA, TUNTAS, PENDAPAT
  catatan TEXT,
  perkiraan TEXT,
  biaya TEXT,
  oleh TEXT,
  pendapat TEXT,
  waktu INTEGER NOT NULL,                    -- seconds since 1970
  UNIQUE (kasus, urut)
);

CREATE TABLE IF NOT EXISTS kotak_masuk (     -- the box of letters
  nomor INTEGER PRIMARY KEY AUTOINCREMENT,
  id_surat TEXT NOT NULL,
  pengirim TEXT NOT NULL,
  jenis TEXT NOT NULL,
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
  nilai TEXT,
  mata_uang TEXT,
  hasil TEXT,
  id_dikembalikan TEXT,
  alasan TEXT,
  UNIQUE (id_surat, pengirim)
);
