import { afterAll, describe } from 'vitest'
import { nodeNetwork } from '../../src/drivers/networks/index.ts'
import { conforms } from './conformance.ts'
import { socketSubject } from './sockets.ts'

const network = nodeNetwork()
describe('the network of Node', () => conforms(network.can, socketSubject(network, afterAll)))
