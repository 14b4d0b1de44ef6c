-- Photos by their content: what any dispatcher takes any other can show. A photo is seen by who put it there and by who sees a case
-- that names it.

CREATE TABLE tongguan.photo (
	hash   bytea PRIMARY KEY CHECK (octet_length(hash) = 32),  -- SHA-256 of the bytes
	type   text NOT NULL CHECK (type IN ('image/jpeg', 'image/png', 'image/webp')),
	size   integer NOT NULL,
	bytes  bytea NOT NULL,
	at     timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE tongguan.photo ALTER COLUMN bytes SET STORAGE EXTERNAL; -- compressed already

-- Who brought it: a department sees its own photos before a case names them.
CREATE TABLE tongguan.photo_source (
	hash        bytea NOT NULL REFERENCES tongguan.photo (hash),
	actor       text NOT NULL,
	department  text NOT NULL DEFAULT '',
	at          timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (hash, actor)
);

CREATE INDEX case_entry_photos ON tongguan.case_entry USING gin ((detail -> 'photos')) WHERE detail ? 'photos';

GRANT SELECT, INSERT ON tongguan.photo, tongguan.photo_source TO tongguan_dispatch;
