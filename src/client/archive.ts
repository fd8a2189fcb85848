// The archive as an auditor sees it: objects by their paths below one prefix, wherever they lie.
//
//     anchors/0000000000.jws   <ledger>/checkpoint   <ledger>/tile/...
import type { Get } from "../tlog/reader.ts";
import { Undecided } from "./outcome.ts";
import type { Platform, Sender } from "./platform.ts";
import { OBJECT_BYTES_MAX, readUrl } from "./remote.ts";

export interface Archive {
  /** The object at a path, or undefined when there is none. */
  readonly get: Get;
  /** Whether entry bundles may be read; everything else is public. */
  readonly holdsEntries: boolean;
  /** The newest epoch that the archive itself tells of. A hint: there may be newer anchors, or fewer. */
  newestEpoch(): Promise<number | undefined>;
  /** All epochs whose anchors are there, where the archive can tell that at once. */
  readonly listEpochs?: () => Promise<ReadonlySet<number>>;
}

/**
 * The archive of a running edge.
 * @param prefix the URL of the reserved prefix, with its last slash.
 * @param token the operator's bearer token; without one, entry bundles are not read.
 */
export function openRemoteArchive(sender: Sender, prefix: string, token: string | undefined): Archive {
  const get: Get = async path => {
    const isBundle = path.includes("/tile/entries/");
    const authorization = isBundle && token !== undefined ? { authorization: `Bearer ${token}` } : {};
    const { status, body } = await readUrl(sender, `${prefix}${path}`, authorization);
    if (status === 200) return body;
    // 410 says that it was there: whether it may be gone, only a signed record can say.
    if (status === 404 || status === 410) return undefined;
    if (status === 401) throw new Undecided("the operator's token was not accepted", { found: prefix });
    throw new Undecided(`${prefix}${path}: no object and no 404`, {
      expected: "status 200, 404 or 410",
      found: `status ${status}`,
    });
  };
  return {
    get,
    holdsEntries: token !== undefined,
    newestEpoch: async () => readLatest(await get("anchors")),
  };
}

/** An archive in a folder, with the same paths. @param holdsEntries whether its entries are to be read. */
export function openFolderArchive(
  platform: Pick<Platform, "listFolder" | "readFile">,
  folder: string,
  holdsEntries = true,
): Archive {
  const listEpochs = async () => {
    const names = (await platform.listFolder(`${folder}/anchors`)) ?? [];
    return new Set(names.flatMap(name => /^(\d{10})\.jws$/.exec(name)?.[1] ?? []).map(Number));
  };
  return {
    get: path => platform.readFile(`${folder}/${path}`, OBJECT_BYTES_MAX),
    holdsEntries,
    listEpochs,
    async newestEpoch() {
      const epochs = [...(await listEpochs())];
      return epochs.length === 0 ? undefined : epochs.reduce((a, b) => Math.max(a, b));
    },
  };
}

/** The `latest` of the listing that an edge gives of its anchors. */
function readLatest(listing: Uint8Array | undefined): number | undefined {
  try {
    const { latest } = JSON.parse(new TextDecoder().decode(listing)) as { latest?: unknown };
    return Number.isSafeInteger(latest) && (latest as number) >= 0 ? (latest as number) : undefined;
  } catch {
    return undefined;
  }
}
