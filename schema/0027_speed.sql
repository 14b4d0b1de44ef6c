-- A function in SQL whose body is less immutable than itself says is never put in place: it would be parsed anew in each statement.
CREATE OR REPLACE FUNCTION tongguan.time_to_us(t timestamptz) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
	RETURN (extract(epoch FROM t) * 1000000)::bigint;
END
$$;

CREATE OR REPLACE FUNCTION tongguan.us_to_time(us bigint) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
	RETURN timestamptz '1970-01-01 00:00:00+00' + make_interval(secs => us / 1000000) + (us % 1000000) * interval '1 microsecond';
END
$$;
