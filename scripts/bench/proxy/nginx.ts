// nginx as many use it: a plain reverse proxy that writes a line of JSON for each exchange. One worker process, because
// every other subject has one thread for its exchanges; connections to the upstream are kept, as the others keep theirs.
import { spawn } from "node:child_process";
import { type FileHandle, mkdir, open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { findPort } from "../../port.ts";
import { HOST } from "./exchanges.ts";
import { askVersion, type Ground, type Started, untilServing } from "./ground.ts";

const CONFIG = "nginx.conf";
const LOG = "access.log";
const NEWLINE = 10;

/** How long nginx may take to write what it has answered, in ms. */
const LOG_WAIT_MS = 5000;

/** Where it is on the PATH, and where Debian has it, which not every user's PATH names. */
const COMMANDS = ["nginx", "/usr/sbin/nginx"];

/** The command that runs here, and its version. */
function find(): { command: string; version: string } | undefined {
  for (const command of COMMANDS) {
    const version = askVersion(command, "-v");
    if (version !== undefined) return { command, version };
  }
  return undefined;
}

/** The version of nginx; undefined where there is none. */
export function findVersion(): string | undefined {
  return find()?.version;
}

export async function startProxy({ upstream, folder }: Ground): Promise<Started> {
  const home = join(folder, "nginx");
  await mkdir(home);
  const listen = `${HOST}:${await findPort(HOST)}`;
  await writeFile(join(home, CONFIG), formatConfig(listen, new URL(upstream).host));
  const child = spawn(find()!.command, ["-p", home, "-c", CONFIG, "-e", "error.log"], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  const started = await untilServing(child, `http://${listen}`);
  const log = await open(join(home, LOG));
  return {
    ...started,
    check: ({ exchanges }) => requireLines(log, exchanges),
    async stop() {
      await log.close();
      await started.stop();
    },
  };
}

/** @throws Error unless the log has a line more for each exchange, soon: nginx writes it behind its answer. */
async function requireLines(log: FileHandle, exchanges: number): Promise<void> {
  const until = performance.now() + LOG_WAIT_MS;
  let lines = 0;
  for (;;) {
    // From where the last one has ended.
    for (const byte of await log.readFile()) if (byte === NEWLINE) lines++;
    if (lines >= exchanges) return;
    if (performance.now() > until) throw new Error(`nginx has logged ${lines} of ${exchanges} exchanges`);
    await wait(20);
  }
}

/** Relative paths are from its own folder, and so is everything that it writes. */
function formatConfig(listen: string, upstream: string): string {
  return `daemon off;
worker_processes 1;
pid nginx.pid;
events {
  worker_connections 1024;
}
http {
${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(name => `  ${name}_temp_path ${name};`).join("\n")}
  log_format json escape=json '{"time":"$time_iso8601","id":"$request_id","client":"$remote_addr",'
    '"method":"$request_method","uri":"$request_uri","status":$status,"sent":$bytes_sent,"ms":$request_time,'
    '"upstream_ms":"$upstream_response_time","user_agent":"$http_user_agent"}';
  access_log ${LOG} json;
  keepalive_requests 1000000000;
  upstream api {
    server ${upstream};
    keepalive 64;
    keepalive_requests 1000000000;
  }
  server {
    listen ${listen};
    location / {
      proxy_pass http://api;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
    }
  }
}
`;
}
