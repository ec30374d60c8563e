-- An adapter's tables of version 1, as that version made them, with some data.
CREATE TABLE subak_schema (name VARCHAR(64) NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (name));
CREATE TABLE subak_cases (
  agency VARCHAR(64) NOT NULL,
  subject VARCHAR(36) NOT NULL,
  jurisdiction VARCHAR(64),
  correlationid VARCHAR(128),
  PRIMARY KEY (agency, subject)
)
 WITHOUT ROWID;
CREATE TABLE subak_inbox (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  agency VARCHAR(64) NOT NULL,
  source VARCHAR(200) NOT NULL,
  event_id VARCHAR(128) NOT NULL,
  type VARCHAR(200) NOT NULL,
  subject VARCHAR(36) NOT NULL,
  attributes TEXT,
  data BLOB,
  received_at DOUBLE NOT NULL,
  state VARCHAR(10) DEFAULT 'waiting' NOT NULL,
  tries INTEGER DEFAULT '0' NOT NULL,
  refusals INTEGER DEFAULT '0' NOT NULL,
  next_try_at DOUBLE,
  delivered_at DOUBLE,
  parked_at DOUBLE,
  reason TEXT,
  UNIQUE (agency, source, event_id)
);
CREATE INDEX subak_inbox_agency ON subak_inbox (agency, id);
CREATE INDEX subak_inbox_case ON subak_inbox (agency, subject, id) WHERE state = 'waiting';
CREATE INDEX subak_inbox_parked ON subak_inbox (agency, subject) WHERE state = 'parked';
CREATE INDEX subak_inbox_waiting ON subak_inbox (agency, id) WHERE state = 'waiting';
CREATE TABLE subak_inbox_positions (
  topic VARCHAR(249) NOT NULL,
  partition INTEGER NOT NULL,
  next_offset BIGINT NOT NULL,
  PRIMARY KEY (topic, partition)
);
CREATE TABLE subak_outbox (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  agency VARCHAR(64) NOT NULL,
  source VARCHAR(200) NOT NULL,
  event_id VARCHAR(128) NOT NULL,
  type VARCHAR(200) NOT NULL,
  subject VARCHAR(36) NOT NULL,
  attributes TEXT NOT NULL,
  data BLOB NOT NULL,
  recorded_at DOUBLE NOT NULL,
  rejected TEXT,
  UNIQUE (source, event_id)
);
CREATE INDEX subak_outbox_agency ON subak_outbox (agency, id);
CREATE TABLE subak_outbox_positions (
  agency VARCHAR(64) NOT NULL,
  position BIGINT NOT NULL,
  committed_at DOUBLE NOT NULL,
  PRIMARY KEY (agency)
);
INSERT INTO subak_schema VALUES ('adapter', 1);
INSERT INTO subak_outbox (agency, source, event_id, type, subject, attributes, data, recorded_at)
  VALUES ('public-works', 'urn:subak:denpasar:public-works', 'e-1', 'subak.request.commented.v1', 'c-1', '{}', X'7b7d', 1);
INSERT INTO subak_outbox_positions VALUES ('public-works', 2, 5);
INSERT INTO subak_inbox (agency, source, event_id, type, subject, attributes, data, received_at, state, parked_at, reason)
  VALUES ('public-works', 'urn:subak:denpasar:x', 'e-2', 'subak.request.commented.v1', 'c-1', '{}', X'7b7d', 1, 'parked', 2, 'no');
INSERT INTO subak_inbox_positions VALUES ('agency-public-works-in', 3, 17);
INSERT INTO subak_cases VALUES ('public-works', 'c-1', '51.71', 'e-0');
