// Peers for the conformance suite that are servers of Node, on loopback: for every network whose far end is a real socket.
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { createServer as createTlsServer, TLSSocket } from 'node:tls'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Network } from '../../src/drivers/network.ts'
import { certificates } from '../fixtures/certificates.ts'
import type { Peer, PeerScript, Subject } from '../../src/conformance.ts'

/**
 * @param whenOver takes what ends the servers
 * @param fetch what a network wants done while one waits, between turns of the event loop
 */
export function socketSubject(
  network: Network,
  whenOver: (stop: () => Promise<void>) => void,
  fetch: () => void = () => {},
): () => Promise<Subject> {
  const servers: Server[] = []
  const sockets = new Set<Socket>()
  whenOver(async () => {
    for (const socket of sockets) socket.destroy()
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  })

  async function listening(server: Server): Promise<AddressInfo> {
    servers.push(server)
    server.on('connection', (socket: Socket) => {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => sockets.delete(socket))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return server.address() as AddressInfo
  }

  return async () => {
    const made = await certificates()
    return {
      network,
      turn: async () => {
        await sleep(2)
        fetch()
      },
      trust: { ca: made.ca },
      listen: async (script, tls) => {
        const half = { allowHalfOpen: true }
        const secure = tls && { ...made[tls.identity], ...(tls.alpn && { ALPNProtocols: [...tls.alpn] }) }
        let server: Server
        if (secure === undefined) server = createServer(half, (socket) => play(script, socket))
        else if (tls?.later === true) {
          server = createServer(half, (socket) => play(script, new TLSSocket(socket, { isServer: true, ...secure })))
        } else server = createTlsServer({ ...half, ...secure }, (socket) => play(script, socket))
        const { port } = await listening(server)
        return { address: '127.0.0.1', port }
      },
      nobody: async () => {
        const server = createServer()
        await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
        const { port } = server.address() as AddressInfo
        await new Promise((resolve) => server.close(resolve))
        return { address: '127.0.0.1', port }
      },
    }
  }
}

function play(script: PeerScript, socket: Socket): void {
  const peer: Peer = {
    write: (bytes) => socket.write(bytes),
    end: () => socket.end(),
    reset: () => socket.resetAndDestroy(),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
  }
  socket.on('error', () => {})
  socket.on('data', (bytes) => script.data?.(bytes, peer))
  socket.on('end', () => script.end?.(peer))
  script.open?.(peer)
}
