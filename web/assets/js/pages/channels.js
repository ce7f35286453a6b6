// Channels, and one of them.

import * as api from '../api.js';
import { badge, facts, figures, fill, h, to } from '../dom.js';
import { brief, count, detailRate, rate } from '../format.js';
import { listing, plain } from '../table.js';
import { connectionLink, head, headOf, queueLink } from './common.js';

const mode = (channel) => (channel.confirm ? badge('confirms', 'accent') : channel.transactional ? badge('transactions', 'accent') : '');

export function channels({ main, signal, saw }) {
  const table = listing({
    key: 'channels', path: '/api/channels', caption: 'channels', signal, empty: 'No channel is open.',
    columns: [
      { name: 'Channel', isName: true, sort: 'name', value: (channel) => h('a', { href: to('channel', channel.name) }, channel.name) },
      { name: 'User', sort: 'user', value: (channel) => channel.user },
      { name: 'Virtual host', sort: 'vhost', small: false, value: (channel) => channel.vhost },
      { name: 'Mode', small: false, value: mode },
      { name: 'State', sort: 'state', value: (channel) => badge(channel.state ?? 'running', channel.state === 'running' ? 'good' : '') },
      { name: 'Prefetch', number: true, sort: 'prefetch_count', value: (channel) => (channel.prefetch_count ? count(channel.prefetch_count) : '∞') },
      { name: 'Unacked', number: true, sort: 'messages_unacknowledged', value: (channel) => count(channel.messages_unacknowledged) },
      { name: 'Unconfirmed', number: true, sort: 'messages_unconfirmed', value: (channel) => count(channel.messages_unconfirmed) },
      { name: 'Consumers', number: true, sort: 'consumer_count', value: (channel) => count(channel.consumer_count) },
      { name: 'Published', number: true, sort: 'message_stats.publish_details.rate', value: (channel) => rate(detailRate(channel.message_stats, 'publish') ?? 0) },
      { name: 'Delivered', number: true, sort: 'message_stats.deliver_get_details.rate', value: (channel) => rate(detailRate(channel.message_stats, 'deliver_get') ?? 0) },
    ],
  });
  fill(main, head('Channels'), table.element);
  return async () => {
    const [now] = await Promise.all([api.get('/api/overview', {}, signal), table.refresh()]);
    saw(now);
  };
}

export function channel({ main, parts, signal, saw }) {
  const [name] = parts;
  const totals = h('div');
  const about = h('section.card');
  const consumers = h('div');
  fill(main, headOf(name, 'channels', 'Channels'), totals, about, consumers);
  return async () => {
    const [now, overview] = await Promise.all([api.get(api.path('channels', name), {}, signal), api.get('/api/overview', {}, signal)]);
    saw(overview);
    fill(totals, figures([
      ['unacknowledged', brief(now.messages_unacknowledged)], ['unconfirmed', brief(now.messages_unconfirmed)], ['uncommitted', brief(now.messages_uncommitted)],
      ['published', rate(detailRate(now.message_stats, 'publish') ?? 0)], ['delivered', rate(detailRate(now.message_stats, 'deliver_get') ?? 0)],
    ]));
    fill(about, h('h2', {}, 'About'), facts([
      ['Connection', connectionLink(now.connection_details?.name ?? '')], ['Number', count(now.number)], ['User', now.user], ['Virtual host', now.vhost], ['Mode', mode(now)],
      ['Prefetch for each consumer', now.prefetch_count ? count(now.prefetch_count) : 'no limit'], ['Prefetch for all together', now.global_prefetch_count ? count(now.global_prefetch_count) : 'no limit'], ['State', now.state],
    ]));
    fill(consumers, plain({
      caption: 'Consumers', rows: now.consumer_details ?? [], empty: 'This channel does not consume.',
      columns: [
        { name: 'Tag', isName: true, value: (consumer) => h('code', {}, consumer.consumer_tag) },
        { name: 'Queue', isName: true, value: (consumer) => queueLink(consumer.queue.vhost, consumer.queue.name) },
        { name: 'Acknowledges', value: (consumer) => (consumer.ack_required ? 'yes' : 'no') },
        { name: 'Prefetch', number: true, value: (consumer) => (consumer.prefetch_count ? count(consumer.prefetch_count) : '∞') },
      ],
    }));
  };
}
