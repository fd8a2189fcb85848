// Two stand-ins for S3 buckets, one for an archive and one for anchors, in a process of their own, whose end is that of
// the process that started it. What they hold is in memory: nothing of it is durable.
import { S3 } from "./s3.ts";

const [archive, anchors] = [new S3(), new S3()];
await Promise.all([archive.start(), anchors.start()]);
process.send!([archive.url, anchors.url]);
process.on("disconnect", () => process.exit());
