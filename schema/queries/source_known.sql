SELECT topic, partition FROM tongguan.source_offset WHERE topic = ANY (string_to_array($1::text, ',')) ORDER BY topic, partition
