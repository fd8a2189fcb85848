// Ports for what is started beside the program, on this machine.
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";

/** A free port of an address, as the system gives it. */
export async function findPort(host: string): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
