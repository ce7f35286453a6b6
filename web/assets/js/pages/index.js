// All pages, in the order of the navigation. `group` heads it; a page without one is reached from others. `count`: what of the overview's totals stands beside it.

import { bindings } from './bindings.js';
import { channel, channels } from './channels.js';
import { connection, connections } from './connections.js';
import { consumers } from './consumers.js';
import { definitions } from './definitions.js';
import { exchange, exchanges } from './exchanges.js';
import { limits } from './limits.js';
import { overview } from './overview.js';
import { policies } from './policies.js';
import { queue } from './queue.js';
import { queues } from './queues.js';
import { topology } from './topology.js';
import { user, users } from './users.js';
import { vhost, vhosts } from './vhosts.js';

const tagged = (...tags) => (user) => tags.some((tag) => (user.tags ?? []).includes(tag));
const administrator = tagged('administrator');
const policymaker = tagged('administrator', 'policymaker');

export const pages = [
  { group: 'Now', name: 'overview', title: 'Overview', show: overview },
  { group: 'Messages', name: 'queues', title: 'Queues', count: 'queues', show: queues },
  { name: 'queue', under: 'queues', title: 'Queue', show: queue },
  { group: 'Messages', name: 'exchanges', title: 'Exchanges', count: 'exchanges', show: exchanges },
  { name: 'exchange', under: 'exchanges', title: 'Exchange', show: exchange },
  { group: 'Messages', name: 'topology', title: 'Topology', show: topology },
  { name: 'bindings', under: 'topology', title: 'Bindings', show: bindings },
  { group: 'Clients', name: 'connections', title: 'Connections', count: 'connections', show: connections },
  { name: 'connection', under: 'connections', title: 'Connection', show: connection },
  { group: 'Clients', name: 'channels', title: 'Channels', count: 'channels', show: channels },
  { name: 'channel', under: 'channels', title: 'Channel', show: channel },
  { group: 'Clients', name: 'consumers', title: 'Consumers', count: 'consumers', show: consumers },
  { group: 'Administration', name: 'users', title: 'Users', show: users, may: administrator },
  { name: 'user', under: 'users', title: 'User', show: user },
  { group: 'Administration', name: 'vhosts', title: 'Virtual hosts', show: vhosts, may: administrator },
  { name: 'vhost', under: 'vhosts', title: 'Virtual host', show: vhost },
  { group: 'Administration', name: 'policies', title: 'Policies', show: policies, may: policymaker },
  { group: 'Administration', name: 'limits', title: 'Limits', show: limits, may: administrator },
  { group: 'Administration', name: 'definitions', title: 'Definitions', show: definitions, may: administrator },
  { name: 'missing', title: 'Not here', show: ({ main }) => async () => main.replaceChildren('There is no such page.') },
];
