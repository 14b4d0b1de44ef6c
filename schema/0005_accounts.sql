-- Who may ask: accounts for people, sessions they open, tokens for programs, and the failures that lock a name.
-- Of a token only its BLAKE2b-256 is kept, of a password its argon2id.

CREATE TABLE tongguan.account (
	name           text PRIMARY KEY CHECK (octet_length(name) BETWEEN 1 AND 63),
	password_hash  text NOT NULL,
	role           text NOT NULL CHECK (role IN ('operator', 'shift_lead', 'department', 'inspector', 'supervisor',
	                                             'leader', 'auditor', 'admin')),
	department     text,
	disabled       boolean NOT NULL DEFAULT false,
	created_at     timestamptz NOT NULL DEFAULT now(),
	password_at    timestamptz NOT NULL DEFAULT now(),
	CHECK ((role = 'department') = (department IS NOT NULL))
);

CREATE TABLE tongguan.session (
	token_hash  bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
	account     text NOT NULL REFERENCES tongguan.account (name) ON DELETE CASCADE,
	created_at  timestamptz NOT NULL DEFAULT now(),
	expires_at  timestamptz NOT NULL
);
CREATE INDEX session_account ON tongguan.session (account);

CREATE TABLE tongguan.token (
	name        text PRIMARY KEY CHECK (octet_length(name) BETWEEN 1 AND 63),
	token_hash  bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
	role        text NOT NULL CHECK (role IN ('operator', 'shift_lead', 'department', 'inspector', 'supervisor',
	                                          'leader', 'auditor', 'admin')),
	department  text,
	created_at  timestamptz NOT NULL DEFAULT now(),
	revoked_at  timestamptz,
	CHECK ((role = 'department') = (department IS NOT NULL))
);

-- By the name that was tried, whether it exists or not: nobody learns from a lock which names do.
CREATE TABLE tongguan.login_failure (
	name          text PRIMARY KEY,
	failures      integer NOT NULL,
	last_at       timestamptz NOT NULL,
	locked_until  timestamptz
);
CREATE INDEX login_failure_last ON tongguan.login_failure (last_at);

-- POST /reports under an Idempotency-Key: the same key gives the same identity, so that the event is stored once however
-- often the phone sends it.
CREATE TABLE tongguan.report_key (
	key_hash     bytea PRIMARY KEY,         -- BLAKE2b over token and key
	body_sha256  bytea NOT NULL,
	event_id     text NOT NULL,
	occurred_us  bigint NOT NULL,
	created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX report_key_created ON tongguan.report_key (created_at);

-- ---- what the API asks of cases ------------------------------------------------------------------------------------

-- A reporter's contact is shown by this function and by nothing else, and every look stands in the case's own log.
-- No row: there is no such case.
CREATE FUNCTION tongguan.case_contact(id uuid, who text, who_role text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	c tongguan.case_file;
	shown jsonb;
BEGIN
	SELECT * INTO c FROM tongguan.case_file f WHERE f.case_id = id FOR UPDATE;
	IF NOT FOUND THEN
		RETURN NULL;
	END IF;
	SELECT coalesce(jsonb_agg(jsonb_build_object('contact', k.contact, 'source_id', k.source_id,
			'reporter_id', k.reporter_id, 'at', k.at) ORDER BY k.at), '[]') INTO shown
		FROM (SELECT c.contact, NULL AS source_id, NULL AS reporter_id, c.reported_at AS at WHERE c.contact IS NOT NULL
			UNION ALL
			SELECT e.contact, e.source_id, e.payload -> 'report' ->> 'reporter_id', e.occurred_at
			FROM tongguan.case_evidence v
			JOIN tongguan.event e ON e.uid = v.event_uid AND e.occurred_at = v.occurred_at
			WHERE v.case_id = id AND e.contact IS NOT NULL) k;
	c := tongguan.case_say(c, jsonb_build_object('actor', who, 'actor_role', who_role, 'action', 'contact',
		'from_state', c.state, 'to_state', c.state, 'detail', jsonb_build_object('contacts', jsonb_array_length(shown))),
		greatest(clock_timestamp(), c.log_at), false);
	UPDATE tongguan.case_file f SET log_seq = c.log_seq, log_hash = c.log_hash, log_at = c.log_at WHERE f.case_id = id;
	RETURN jsonb_build_object('case_id', id, 'items', shown);
END
$$;

-- Free words: every two neighbouring characters, so that any script can be searched from its second character on.
CREATE FUNCTION tongguan.bigrams(said text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
	SELECT coalesce(array_agg(DISTINCT substr(lower(said), i, 2)), '{}')
	FROM generate_series(1, char_length(said) - 1) i
$$;

-- Beside the case, since a case is updated often and its words hardly ever.
CREATE TABLE tongguan.case_words (
	case_id  uuid PRIMARY KEY REFERENCES tongguan.case_file (case_id) ON DELETE CASCADE,
	said     text NOT NULL,
	words    text[] NOT NULL
);
CREATE INDEX case_words_words ON tongguan.case_words USING gin (words);

CREATE FUNCTION tongguan.case_words_put() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
	line text := NEW.case_no || ' ' || NEW.title || ' ' || coalesce(left(NEW.body, 500), '');
BEGIN
	INSERT INTO tongguan.case_words (case_id, said, words) VALUES (NEW.case_id, line, tongguan.bigrams(line))
	ON CONFLICT (case_id) DO UPDATE SET said = excluded.said, words = excluded.words;
	RETURN NULL;
END
$$;
CREATE TRIGGER case_words_new AFTER INSERT ON tongguan.case_file
	FOR EACH ROW EXECUTE FUNCTION tongguan.case_words_put();
CREATE TRIGGER case_words_edit AFTER UPDATE ON tongguan.case_file
	FOR EACH ROW WHEN (OLD.title IS DISTINCT FROM NEW.title OR OLD.body IS DISTINCT FROM NEW.body)
	EXECUTE FUNCTION tongguan.case_words_put();

CREATE INDEX case_street ON tongguan.case_file (street, reported_at DESC, case_id DESC);
CREATE INDEX case_cell ON tongguan.case_file (grid_cell, reported_at DESC, case_id DESC);
CREATE INDEX case_overdue ON tongguan.case_file (reported_at DESC, case_id DESC) WHERE overdue;
CREATE INDEX case_handle_due ON tongguan.case_file (handle_due_at) WHERE done_at IS NULL;
CREATE INDEX case_undue ON tongguan.case_file (case_id DESC) WHERE due_at IS NULL;
CREATE INDEX case_open ON tongguan.case_file (lead_department, overdue)
	WHERE state NOT IN ('closed', 'refused', 'not_filed', 'void', 'merged');
CREATE INDEX case_task_due ON tongguan.case_task (due_at, task_id);
CREATE INDEX case_task_state ON tongguan.case_task (state, due_at, task_id);
CREATE INDEX case_task_undue ON tongguan.case_task (task_id) WHERE due_at IS NULL;
CREATE INDEX incident_newest ON tongguan.incident (detected_at DESC, incident_id DESC);
CREATE INDEX incident_state ON tongguan.incident (state, detected_at DESC, incident_id DESC);
CREATE INDEX incident_rule ON tongguan.incident (rule_id, detected_at DESC, incident_id DESC);
