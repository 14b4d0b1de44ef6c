-- Anchors: now and then the publisher puts down what the newest entry of every case with news is, as one hash that goes on from the
-- one before, here and in the topic tongguan.audit.anchors. A chain may be computed anew by whoever owns the tables; what is
-- anchored may not. The bytes are in docs/interfaces.md.

ALTER TABLE tongguan.outbox_lease ADD COLUMN anchor_published bigint NOT NULL DEFAULT 0; -- acknowledged by Kafka

CREATE TABLE tongguan.audit_anchor (
	number     bigint PRIMARY KEY CHECK (number > 0),
	at         timestamptz NOT NULL,
	from_pos   bigint NOT NULL,             -- news after this position
	to_pos     bigint NOT NULL,             -- up to this one
	cases      bigint NOT NULL,             -- leaves
	entries    bigint NOT NULL,
	root       bytea NOT NULL CHECK (octet_length(root) = 32),
	prev_hash  bytea,
	hash       bytea NOT NULL CHECK (octet_length(hash) = 32),
	epoch      bigint NOT NULL              -- of the lease it was written under
);

-- No foreign keys: a leaf is to outlive the case that somebody removes.
CREATE TABLE tongguan.audit_leaf (
	anchor   bigint NOT NULL,
	case_id  uuid NOT NULL,
	seq      bigint NOT NULL,
	head     bytea NOT NULL,                -- the entry's hash
	PRIMARY KEY (anchor, case_id)
);

CREATE FUNCTION tongguan.audit_leaf_hash(f tongguan.audit_leaf) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
	SELECT sha256('\x00'::bytea || int4send(length(f.case_id::text)) || convert_to(f.case_id::text, 'UTF8')
		|| int4send(length(f.seq::text)) || convert_to(f.seq::text, 'UTF8') || int4send(length(f.head)) || f.head)
$$;

-- Pairs from the left; one that is left over goes up as it is.
CREATE FUNCTION tongguan.merkle_root(level bytea[]) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
	WHILE cardinality(level) > 1 LOOP
		level := ARRAY(SELECT CASE WHEN p.beside IS NULL THEN p.h ELSE sha256('\x01'::bytea || p.h || p.beside) END
			FROM (SELECT u.h, u.n, lead(u.h) OVER (ORDER BY u.n) AS beside FROM unnest(level) WITH ORDINALITY AS u(h, n)) p
			WHERE p.n % 2 = 1 ORDER BY p.n);
	END LOOP;
	RETURN level[1];
END
$$;

CREATE FUNCTION tongguan.audit_anchor_hash(a tongguan.audit_anchor) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
	framed bytea := '';
	field bytea;
BEGIN
	FOREACH field IN ARRAY ARRAY[convert_to(a.number::text, 'UTF8'), convert_to(tongguan.time_to_us(a.at)::text, 'UTF8'),
			convert_to(a.from_pos::text, 'UTF8'), convert_to(a.to_pos::text, 'UTF8'), convert_to(a.cases::text, 'UTF8'),
			convert_to(a.entries::text, 'UTF8'), a.root, a.prev_hash] LOOP
		framed := framed || int4send(coalesce(length(field), -1)) || coalesce(field, '');
	END LOOP;
	RETURN sha256(framed);
END
$$;

-- The newest entry that was told of each case in (after, upto]; with the first anchor of all, the head of every case there is.
CREATE FUNCTION tongguan.audit_news(number bigint, after bigint, upto bigint) RETURNS SETOF tongguan.audit_leaf
LANGUAGE plpgsql STABLE SET enable_seqscan = off SET jit = off AS $$
BEGIN
	IF number = 1 THEN
		RETURN QUERY SELECT number, c.case_id, c.log_seq, c.log_hash FROM tongguan.case_file c WHERE c.log_seq > 0;
	ELSE
		RETURN QUERY SELECT DISTINCT ON (o.case_id) number, o.case_id, (o.doc ->> 'seq')::bigint, decode(o.doc ->> 'hash', 'hex')
			FROM tongguan.outbox o WHERE o.pos > after AND o.pos <= upto AND o.case_id IS NOT NULL
			ORDER BY o.case_id, (o.doc ->> 'seq')::bigint DESC;
	END IF;
END
$$;

-- One turn of the publisher: writes the next anchor if there is news, remembers up to which Kafka has them, and gives those it
-- does not have. Two at once: one of them fails on the number.
CREATE FUNCTION tongguan.audit_anchor_turn(me text, my_epoch bigint, acknowledged bigint) RETURNS TABLE (number bigint, doc text)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
	lease tongguan.outbox_lease;
	before tongguan.audit_anchor;
	a tongguan.audit_anchor;
BEGIN
	SELECT * INTO lease FROM tongguan.outbox_lease l
		WHERE l.holder = me AND l.epoch = my_epoch AND l.expires_at > clock_timestamp();
	IF NOT FOUND THEN
		RETURN;
	END IF;
	SELECT * INTO before FROM tongguan.audit_anchor x ORDER BY x.number DESC LIMIT 1;
	a.number := coalesce(before.number, 0) + 1;
	a.from_pos := coalesce(before.to_pos, 0);
	a.to_pos := lease.last_pos;
	IF a.to_pos > a.from_pos OR a.number = 1 THEN
		WITH leaf AS (
			INSERT INTO tongguan.audit_leaf SELECT * FROM tongguan.audit_news(a.number, a.from_pos, a.to_pos) RETURNING *
		) SELECT count(*), tongguan.merkle_root(array_agg(tongguan.audit_leaf_hash(f::tongguan.audit_leaf) ORDER BY f.case_id))
			INTO a.cases, a.root FROM leaf f;
		IF a.number = 1 THEN
			SELECT coalesce(sum(f.seq), 0) INTO a.entries FROM tongguan.audit_leaf f WHERE f.anchor = 1;
		ELSE
			SELECT count(*) INTO a.entries FROM tongguan.outbox o
				WHERE o.pos > a.from_pos AND o.pos <= a.to_pos AND o.case_id IS NOT NULL;
		END IF;
	END IF;
	IF a.cases > 0 THEN
		a.at := clock_timestamp();
		a.prev_hash := before.hash;
		a.epoch := my_epoch;
		a.hash := tongguan.audit_anchor_hash(a);
		INSERT INTO tongguan.audit_anchor SELECT a.*;
	END IF;
	UPDATE tongguan.outbox_lease l SET anchor_published = greatest(l.anchor_published, acknowledged)
		WHERE l.holder = me AND l.epoch = my_epoch AND l.anchor_published < acknowledged;
	RETURN QUERY SELECT x.number, jsonb_build_object('number', x.number, 'at', x.at, 'at_us', tongguan.time_to_us(x.at),
			'from_pos', x.from_pos, 'to_pos', x.to_pos, 'cases', x.cases, 'entries', x.entries, 'root', encode(x.root, 'hex'),
			'prev_hash', encode(x.prev_hash, 'hex'), 'hash', encode(x.hash, 'hex'))::text
		FROM tongguan.audit_anchor x WHERE x.number > greatest(lease.anchor_published, acknowledged) ORDER BY x.number LIMIT 100;
END
$$;

-- As before, but a message stays until it is anchored.
CREATE OR REPLACE FUNCTION tongguan.outbox_published(me text, my_epoch bigint, upto bigint, keep interval) RETURNS void
LANGUAGE sql VOLATILE AS $$
	UPDATE tongguan.outbox_lease l SET published = greatest(l.published, upto)
		WHERE l.holder = me AND l.epoch = my_epoch;
	DELETE FROM tongguan.outbox o WHERE o.id IN (SELECT x.id FROM tongguan.outbox x
		WHERE x.pos <= upto AND x.at < now() - keep
			AND x.pos <= (SELECT a.to_pos FROM tongguan.audit_anchor a ORDER BY a.number DESC LIMIT 1)
		ORDER BY x.id LIMIT 1000);
	DELETE FROM tongguan.idempotency i WHERE (i.scope, i.key) IN (SELECT x.scope, x.key FROM tongguan.idempotency x
		WHERE x.at < now() - interval '24 hours' ORDER BY x.at LIMIT 1000)
$$;

GRANT SELECT, INSERT ON tongguan.audit_anchor, tongguan.audit_leaf TO tongguan_dispatch;
GRANT SELECT ON tongguan.audit_anchor, tongguan.audit_leaf TO tongguan_read;
