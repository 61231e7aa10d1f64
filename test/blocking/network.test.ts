// The worker's network under the suite of every network. Its facts come in `fetch`, which is called here between the turns
// of the event loop, since the peers are servers on this very thread: it never sleeps for them.
import { afterAll, describe, expect, it, vi } from 'vitest'
import { WorkerNetwork } from '../../src/drivers/blocking/network.ts'
import { nodeNetwork } from '../../src/drivers/networks/index.ts'
import { conforms } from '../networks/conformance.ts'
import { socketSubject } from '../networks/sockets.ts'

vi.mock('../../src/drivers/blocking/worker-file.ts', async () => (await import('./worker-build.ts')).workerFile())

const network = new WorkerNetwork()
const look = (): void => {
  while (network.look());
}

describe('the network in a worker', () => conforms(network.can, socketSubject(network, afterAll, look)))

it('is able to do what the network of Node is', () => {
  expect(network.can).toEqual(nodeNetwork().can)
})
