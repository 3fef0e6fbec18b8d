import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { tempDir } from "../../../../test/harness/temp-dir.ts";
import { downgradeMetadata } from "../../storetest/earlier-schema.ts";
import { digestNumber, repositoryRef, tag } from "../../storetest/sample-names.ts";
import { openMetadata } from "../open-metadata.ts";

const nginx = repositoryRef("docker.io", "library/nginx");
const [A, B, C] = [digestNumber(1), digestNumber(2), digestNumber(3)];

test("a database of an earlier version has the history of tags as far as it was known", async () => {
  await using dir = await tempDir("history");
  const path = dir.file("metadata.db");
  const metadata = await openMetadata(path);
  await metadata.tags.put(nginx, tag("moved"), { digest: C, checkedAt: 50 });
  await metadata.tags.put(nginx, tag("same"), { digest: A, checkedAt: 7 });
  await metadata.close();
  downgradeMetadata(path, 11);
  const earlier = new Database(path);
  const insert = earlier.query(
    `insert into former_tags (upstream, repository, tag, digest, confirmed_at, moved_at)
      values ('docker.io', 'library/nginx', ?, ?, ?, ?)`,
  );
  for (const row of [
    ["moved", B, 30, 40],
    ["moved", A, 10, 20],
    ["purged", A, 15, 25],
  ] as const)
    insert.run(...row);
  earlier.close();
  const opened = await openMetadata(path);
  const { tagHistory, tags } = opened;
  await tags.put(nginx, tag("moved"), { digest: C, checkedAt: 60 });
  expect(await tagHistory.of(nginx, tag("moved"))).toEqual([
    { digest: C, firstSeen: 40, lastSeen: 60 },
    { digest: B, firstSeen: 20, lastSeen: 30 },
    { digest: A, firstSeen: 10, lastSeen: 10 },
  ]);
  const same = { digest: A, firstSeen: 7, lastSeen: 7 };
  expect(await tagHistory.of(nginx, tag("same"))).toEqual([same]);
  expect(await tagHistory.of(nginx, tag("purged"))).toEqual([
    { digest: A, firstSeen: 15, lastSeen: 15 },
  ]);
  await opened.close();
});

test("of too many stays, those of tags that never moved go first, and are known again from the tag", async () => {
  await using dir = await tempDir("history");
  const metadata = await openMetadata(dir.file("metadata.db"));
  const { tags, tagHistory } = metadata;
  await tags.put(nginx, tag("moved"), { digest: A, checkedAt: 1 });
  await tags.put(nginx, tag("moved"), { digest: B, checkedAt: 2 });
  await tags.put(nginx, tag("quiet"), { digest: A, checkedAt: 3, source: "docker.io" });
  const writer = new Database(dir.file("metadata.db"));
  const numbers =
    "with recursive n(i) as (values(1) union all select i + 1 from n where i < 100002)";
  const repo = "'docker.io', 'library/nginx'";
  const digest = "'sha256:' || printf('%064d', i)";
  writer.run(`${numbers} insert into tag_history
    (upstream, repository, tag, position, digest, first_seen, last_seen)
    select ${repo}, 't' || i, 1, ${digest}, i + 10, i + 10 from n`);
  writer.run(`${numbers} insert into seen_digests select ${repo}, ${digest}, i from n`);
  await tagHistory.prune();
  for (const table of ["tag_history", "seen_digests"]) {
    expect(writer.query(`select count(*) as count from ${table}`).get()).toEqual({
      count: 100_000,
    });
  }
  writer.close();
  const counts = ["moved", "quiet", "t4", "t5"].map(async (name) => {
    return (await tagHistory.of(nginx, tag(name))).length;
  });
  expect(await Promise.all(counts)).toEqual([2, 0, 0, 1]);
  await tags.put(nginx, tag("quiet"), { digest: B, checkedAt: 200_000 });
  expect(await tagHistory.of(nginx, tag("quiet"))).toEqual([
    { digest: B, firstSeen: 200_000, lastSeen: 200_000 },
    { digest: A, firstSeen: 3, lastSeen: 3, source: "docker.io" },
  ]);
  await metadata.close();
});
